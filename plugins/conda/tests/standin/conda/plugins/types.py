"""
The types that the hooks return.
"""

from dataclasses import dataclass
from typing import Any


@dataclass
class CondaSetting:
    """
    A key below ``plugins`` in the configuration.
    """

    name: str
    description: str
    parameter: Any


@dataclass
class CondaPreCommand:
    """
    A function that is called before some commands.
    """

    name: str
    action: Any
    run_for: set[str]


class CondaPostCommand(CondaPreCommand):
    """
    A function that is called after some commands.
    """
