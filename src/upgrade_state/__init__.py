"""
Remember, per environment, when upgrades were last checked and what was found.
"""
