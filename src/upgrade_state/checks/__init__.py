"""
How a new lockfile is obtained: resolvers, recipes, and one whole check.

A resolver is called with an environment and the content of its lockfile, and
returns the content that an upgrade would lead to. It never touches the
environment itself, and never prints.
"""

from ._builtin import RECIPES
from ._cancellation import Cancellation, Cancelled, current_cancellation
from ._check import Outcome, Resolver, check, judge
from ._command import DEFAULT_TIMEOUT, Command
from ._containment import Limits
from ._recipe import Recipe
from ._registry import broken_recipes, recipe_for, recipe_named, recipe_names
from ._scope import Result, check_all

__all__ = [
    "DEFAULT_TIMEOUT",
    "RECIPES",
    "Cancellation",
    "Cancelled",
    "Command",
    "Limits",
    "Outcome",
    "Recipe",
    "Resolver",
    "Result",
    "broken_recipes",
    "check",
    "check_all",
    "current_cancellation",
    "judge",
    "recipe_for",
    "recipe_named",
    "recipe_names",
]
