"""
What the recipe of an environment says that its user may run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrade_state.exceptions import ResolverError

if TYPE_CHECKING:
    from upgrade_state._environment import EnvironmentState
    from upgrade_state.checks import Recipe


def upgrade_hint(environment: EnvironmentState) -> str:
    """
    Say how to upgrade, and how to see more; "": the record names no known recipe.
    """
    recipe = _recipe_of(environment)
    if recipe is None:
        return ""
    return f"to upgrade: {recipe.upgrade} (details: {recipe.details})"


def details_hint(environment: EnvironmentState) -> str:
    """
    Say how to see more, as the end of a notice; "" likewise.
    """
    recipe = _recipe_of(environment)
    return "" if recipe is None else f" Run '{recipe.details}' for details."


def _recipe_of(environment: EnvironmentState) -> Recipe | None:
    name = environment.look().recipe
    if name is None:
        return None
    from upgrade_state import checks  # noqa: PLC0415 - not for a COMMAND

    try:
        return checks.recipe_named(name)
    except ResolverError:
        return None
