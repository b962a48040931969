"""
Tell PyInstaller what a frozen program needs of this library.

PyInstaller finds this package by its entry point in the group ``pyinstaller40``.
"""

import os


def hook_directories() -> list[str]:
    """
    Return the directories of the hooks: this one.
    """
    return [os.path.dirname(__file__)]
