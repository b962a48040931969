"""
The type of a setting.
"""

from dataclasses import dataclass


@dataclass
class PrimitiveParameter:
    """
    One value with a default.
    """

    default: object
