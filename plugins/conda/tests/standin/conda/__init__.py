"""
A stand-in for conda, which is in no package index: only its interface for plugins.

It has the modules, types and hooks by their documented names, and of the commands the
part that the tests need. It is used only if there is no real conda.
"""
