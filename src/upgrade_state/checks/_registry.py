"""
Which recipe is meant: by its name, or by a lockfile.

Those that other distributions bring along are looked up where no built-in one
is meant; see `_plugins`.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from upgrade_state import _plugins
from upgrade_state.exceptions import ResolverError

from ._builtin import RECIPES
from ._recipe import IN_SANDBOX, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

GROUP: Final = "upgrade_state.recipes"

_LOG: Final = logging.getLogger("upgrade_state")


def recipe_for(lockfile: str | None, directory: str | None = None) -> Recipe | None:
    """
    Return the recipe for a lockfile's name; None: there is none.

    Args:
        directory: Where the lockfile is. Of several recipes for one name, the
            first whose manifest is there is meant; without that, the first.
            None of them is meant if another tool has made the lockfile.
    """
    mine = _choose(RECIPES.values(), lockfile, directory)
    return mine or _choose(_others(), lockfile, directory)


def _choose(
    recipes: Iterable[Recipe], lockfile: str | None, directory: str | None
) -> Recipe | None:
    found = [recipe for recipe in recipes if recipe.lockfile == lockfile]
    if directory is not None:
        found = [recipe for recipe in found if recipe.may_be_for(directory)]
        for recipe in found:
            if os.path.isfile(os.path.join(directory, recipe.manifests[0])):
                return recipe
    return found[0] if found else None


def recipe_named(name: str) -> Recipe:
    """
    Return the recipe that a record names; in a sandbox, if it says so.

    Raises:
        ResolverError: There is none of that name (any more), or it is none.
    """
    plain = name.removesuffix(IN_SANDBOX)
    recipe = RECIPES.get(plain) or _load(plain)
    if recipe is None:
        choices = ", ".join(recipe_names())
        raise ResolverError(f"There is no recipe {plain!r}; recipes: {choices}", None)
    return recipe if plain == name else recipe.in_sandbox()


def recipe_names() -> list[str]:
    """
    Return the names of all recipes, those that others bring along included.
    """
    return sorted(RECIPES.keys() | _plugins.names(GROUP))


def broken_recipes() -> list[str]:
    """
    Say what is wrong with recipes that others bring along, a line for each.
    """
    return [str(error) for name in _others_names() if (error := _problem(name))]


def _others_names() -> list[str]:
    return sorted(_plugins.names(GROUP) - RECIPES.keys())


def _others() -> Iterable[Recipe]:
    for name in _others_names():
        try:
            yield recipe_named(name)
        except ResolverError as error:
            # No obstacle to the others; who asks for it is told.
            _LOG.debug("%s", error)


def _problem(name: str) -> ResolverError | None:
    try:
        _load(name)
    except ResolverError as error:
        return error
    return None


def _load(name: str) -> Recipe | None:
    """
    Load the recipe that a distribution brings along; None: nobody brings it.
    """
    point = _plugins.find(GROUP, name)
    if point is None:
        return None
    try:
        recipe = _plugins.load(point)
    except ValueError as error:
        raise ResolverError(str(error), None) from error
    if isinstance(recipe, Recipe) and recipe.name == name:
        return recipe
    message = f"There is no recipe of that name in {_plugins.shown(point)}"
    raise ResolverError(message, None)
