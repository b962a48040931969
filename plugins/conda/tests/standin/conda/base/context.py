"""
The configuration and the command line, as one object.
"""

from types import SimpleNamespace

context = SimpleNamespace(plugins=SimpleNamespace())
