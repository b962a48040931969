"""
The built-in resolvers, one per environment manager: a few lines of facts each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from upgrade_state.exceptions import ResolverError

from . import _uv
from ._command import DEFAULT_TIMEOUT, Command

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Mapping
    from typing import Final

    from upgrade_state._environment import EnvironmentState


# Ends the name of a recipe in a record: run in a sandbox.
_IN_SANDBOX: Final = "+sandbox"


@attrs.frozen(kw_only=True)
class Recipe:
    """
    How one environment manager makes a new lockfile in a scratch directory.

    Attributes:
        name: The manager's name; stands in the record.

        lockfile: The lockfile's name below the environment's directory.

        argv: The command.

        manifests: Returns what to copy of an environment's directory.

        changes: Environment variables to set; None: to remove.

        passes, caches, fence, sandbox: See `Command`.

        needs: What to do if the command is missing.

        upgrade: What the user runs to upgrade.
    """

    name: str
    lockfile: str
    argv: tuple[str, ...]
    manifests: Callable[[str], Collection[str]]
    changes: Mapping[str, str | None]
    passes: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    fence: tuple[str, bytes] | None
    needs: str
    upgrade: str
    sandbox: bool = False

    def in_sandbox(self) -> Recipe:
        """
        Return the recipe whose command may write nowhere.

        It goes by a name of its own, so that a check that starts by itself never
        has more rights than the one that its user ran.
        """
        return attrs.evolve(self, name=self.name + _IN_SANDBOX, sandbox=True)

    def resolver(
        self,
        environment: EnvironmentState,
        *,
        copies: Collection[str] = (),
        passes: Collection[str] = (),
        timeout: dt.timedelta = DEFAULT_TIMEOUT,
    ) -> Command:
        """
        Make the resolver for *environment*.

        Args:
            copies: Files to copy besides those that the recipe knows of.

            passes: Environment variables besides those that the recipe names.

            timeout: See `Command`.

        Raises:
            ValueError: One of *copies* is not below the environment's directory,
                or one of *passes* is no name.
        """
        manifests = self.manifests(environment.path or "")
        return Command(
            self.argv,
            copies=(*manifests, *copies),
            timeout=timeout,
            changes=self.changes,
            passes=(*self.passes, *passes),
            caches=self.caches,
            fence=self.fence,
            needs=self.needs,
            sandbox=self.sandbox,
        )


RECIPES: Final[Mapping[str, Recipe]] = {
    "uv": Recipe(
        name="uv",
        lockfile="uv.lock",
        argv=("uv", "lock", "--upgrade", "--no-progress"),
        manifests=_uv.manifests,
        changes=_uv.CHANGES,
        passes=("UV_*",),
        caches=("UV_CACHE_DIR",),
        fence=_uv.FENCE,
        needs="install uv",
        upgrade="uv lock --upgrade",
    ),
}
"""By name. A check by one of these is repeated by itself once its user ran it."""


def recipe_for(lockfile: str | None) -> Recipe | None:
    """
    Return the recipe for a lockfile's name; None: there is none.
    """
    return next((r for r in RECIPES.values() if r.lockfile == lockfile), None)


def recipe_named(name: str) -> Recipe:
    """
    Return the recipe that a record names; in a sandbox, if it says so.

    Raises:
        ResolverError: There is none of that name (any more).
    """
    recipe = RECIPES.get(name.removesuffix(_IN_SANDBOX))
    if recipe is None:
        choices = ", ".join(sorted(RECIPES))
        message = f"There is no recipe {name!r}; recipes: {choices}"
        raise ResolverError(message, None)
    return recipe.in_sandbox() if name.endswith(_IN_SANDBOX) else recipe
