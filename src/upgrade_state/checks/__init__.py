"""
Obtain new lockfiles: resolvers, recipes, and whole checks.

A resolver is called with an environment and the content of its lockfile, and
returns the lockfile that an upgrade would lead to. It never changes the
environment, and never prints.
"""

from typing import TYPE_CHECKING

from . import _registry
from ._cancellation import Cancellation, Cancelled, current_cancellation
from ._check import Outcome, Resolver, check, judge
from ._command import DEFAULT_TIMEOUT, Command
from ._containment import Limits
from ._flox import FLOX_LOCKFILE, import_flox_check
from ._recipe import Recipe
from ._registry import (
    broken_recipes,
    recipe_for,
    recipe_named,
    recipe_names,
    shared_results,
)
from ._scope import Result, check_all
from ._sharing import ManagedResults, Question, Reply, SharedEntry, SharedResults

if TYPE_CHECKING:
    from collections.abc import Mapping

    RECIPES: Mapping[str, Recipe]
    """The built-in recipes by name."""

__all__ = [
    "DEFAULT_TIMEOUT",
    "FLOX_LOCKFILE",
    "RECIPES",
    "Cancellation",
    "Cancelled",
    "Command",
    "Limits",
    "ManagedResults",
    "Outcome",
    "Question",
    "Recipe",
    "Reply",
    "Resolver",
    "Result",
    "SharedEntry",
    "SharedResults",
    "broken_recipes",
    "check",
    "check_all",
    "current_cancellation",
    "import_flox_check",
    "judge",
    "recipe_for",
    "recipe_named",
    "recipe_names",
    "shared_results",
]


def __getattr__(name: str) -> object:
    if name == "RECIPES":  # the file is read on first use
        return _registry.built_in()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
