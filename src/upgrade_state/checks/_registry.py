"""
Find recipes and shared results: the built-in ones, and those of other distributions.

Built-in ones come first: no other distribution can replace one.
"""

from __future__ import annotations

import functools
import importlib
import logging
import re
import tomllib
from importlib import resources
from typing import TYPE_CHECKING

from upgrade_state import _floors, _plugins
from upgrade_state.exceptions import ResolverError

with _floors.loading():  # the package loads this module first
    import cattrs

    from ._recipe import IN_SANDBOX, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

    from ._sharing import SharedResults

GROUP: Final = "upgrade_state.recipes"
SHARED_GROUP: Final = "upgrade_state.shared"

# A scheme, and the part of an authority that may have a password.
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*):(?://([^/?#]*)@)?")

_LOG: Final = logging.getLogger("upgrade_state")


@functools.cache
def built_in() -> Mapping[str, Recipe]:
    """
    Return the recipes of ``recipes.toml`` by name, in the file's order.
    """
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(bytes, lambda text, _: text.encode())
    # As a resource: in a zip archive it has no path.
    file = resources.files("upgrade_state.checks") / "recipes.toml"
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    known = tables.pop("shared") | tables
    return {
        name: converter.structure({**_resolved(table, known), "name": name}, Recipe)
        for name, table in tables.items()
    }


def _resolved(item: Any, known: Mapping[str, Any]) -> Any:
    """
    Replace the references of ``recipes.toml``, which explains them, in *item*.
    """
    if isinstance(item, dict):
        own = {key: _resolved(value, known) for key, value in item.items()}
        like = own.pop("like", None)
        return own if like is None else _resolved(known[like], known) | own
    if isinstance(item, list):
        lists = (
            _resolved(known[text[1:]], known) if text.startswith("@") else [text]
            for text in item
        )
        return [text for part in lists for text in part]
    return None if item is False else item


def recipe_for(lockfile: str, directory: str) -> Recipe | None:
    """
    Return the recipe for a lockfile, bound to it; None: none is for its name.

    Of several recipes for one name, it is the first that is `Recipe.usable`.

    Args:
        lockfile: The lockfile's name.

        directory: The environment's directory.

    Raises:
        ResolverError: No recipe for this name is usable; the message says why.
    """
    problems: list[str] = []
    tools: list[str] = []
    for recipe in filter(lambda recipe: recipe.fits(lockfile), _known()):
        tools.append(recipe.argv[0])
        if recipe.may_be_for(directory, lockfile):
            try:
                return recipe.usable(directory, lockfile)
            except ResolverError as error:
                problems.append(error.message)
    if not tools:
        return None
    names = " or ".join(dict.fromkeys(tools))
    problems.append(f"it was not made by a known command of {names}")
    raise ResolverError(problems[0], directory)


def recipe_named(name: str) -> Recipe:
    """
    Return the recipe of this name; ``+sandbox`` at its end: in a sandbox.

    Raises:
        ResolverError: No recipe has this name (any more), or it is broken.
    """
    plain = name.removesuffix(IN_SANDBOX)
    recipe = built_in().get(plain) or _load(plain)
    if recipe is None:
        message = f"There is no recipe {plain!r} (see upgrade-state recipes)"
        raise ResolverError(message, None)
    return recipe if plain == name else recipe.in_sandbox()


def recipe_names() -> list[str]:
    """
    Return the names of all recipes, also of those that cannot be loaded.
    """
    return sorted(built_in().keys() | _plugins.names(GROUP))


def broken_recipes() -> list[str]:
    """
    Describe each recipe of another distribution that cannot be loaded, in a line.
    """
    return _others()[1]


def _known() -> Iterator[Recipe]:
    """
    Stream all recipes, and load those of other distributions only if they are needed.
    """
    yield from built_in().values()
    yield from _others()[0]


def _others() -> tuple[list[Recipe], list[str]]:
    """
    Load the recipes of other distributions, and describe those that are broken.
    """
    recipes, problems = [], []
    for name in sorted(_plugins.names(GROUP) - built_in().keys()):
        try:
            recipes.append(recipe_named(name))
        except ResolverError as error:
            # A broken recipe is no obstacle to the others.
            _LOG.debug("%s", error)
            problems.append(str(error))
    return recipes, problems


def _load(name: str) -> Recipe | None:
    """
    Load the recipe of another distribution; None: no distribution has this one.
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


def shared_results(url: str) -> SharedResults:
    """
    Return the shared results at *url*. No connection is opened.

    The scheme ``postgresql`` is built in. Another one is the name of an entry point
    of the group ``upgrade_state.shared``, a callable that gets the URL.

    Raises:
        ValueError: It is no URL, or has a password or an unknown scheme; or the
            entry point cannot be loaded. The message does not repeat the URL.
    """
    found = _URL.match(url)
    if found is None or not url.isprintable():
        raise ValueError("not a URL such as postgresql:///db?service=team")
    scheme, user = found.groups()
    if user is not None and ":" in user:
        raise ValueError("the URL has a password: put it into a file such as ~/.pgpass")
    if scheme == "postgresql":
        name = "._postgresql"  # needs an extra
        make = importlib.import_module(name, __package__).PostgreSQLResults
    elif (point := _plugins.find(SHARED_GROUP, scheme)) is not None:
        make = _plugins.load(point)
    else:
        raise ValueError(
            f"{scheme}: is no scheme of shared results such as postgresql:"
        )
    results: SharedResults = make(url)
    return results
