"""
An environment manager that keeps versions in a file, to start your own from.
"""
