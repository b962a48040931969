"""
The marker of a hook.
"""


def hookimpl(hook):
    """
    Return the hook; pluggy would mark it.
    """
    return hook
