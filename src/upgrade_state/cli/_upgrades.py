"""
Print upgrades as a table.
"""

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from upgrade_state import Look, lockfiles
from upgrade_state.cli._activation import recipe_of
from upgrade_state.cli._output import Part, Styled, facts, out, table
from upgrade_state.cli._parser import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from upgrade_state.cli._view import View
    from upgrade_state.lockfiles import Upgrade

# So many upgrades are listed without --all, or those of direct requirements.
_ROWS: Final = 10
_DIRECT_ROWS: Final = 50

# Two longer builds do not fit on a line.
_BUILD: Final = 32

_COMMIT: Final = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")

_KINDS: Final = ("version", "rebuild", "added", "removed")


def print_upgrades(view: "View", *, every: bool) -> None:
    """
    Print the upgrades, indented, and how to get them.

    Args:
        every: Print every upgrade, however many there are.

    Raises:
        UpgradeStateError: A file of the result is gone or damaged.
    """
    if (problem := _problem_of(view.look)) is not None:
        out(f"    could only be compared as a whole; {problem}", hang=4)
    rows = view.look.upgrades()
    print_rows(rows, view.question, every=every, env=lambda: str(view.arguments))
    recipe = recipe_of(view.look)
    if recipe is not None and view.is_outdated:
        place = view.arguments.place
        cd = f"cd{place} && " if place else ""
        facts("to upgrade", cd + recipe.upgrade, hang=None)
        facts("for details", cd + recipe.details, hang=None)


def _problem_of(look: Look) -> str | None:
    """
    Return why the lockfiles could only be compared as a whole; None: they were read.
    """
    result = look.record and look.record["result"]
    if not result or result["format"] is None or result["counts"] is not None:
        return None
    sides: tuple[Literal["old", "new"], ...] = ("old", "new")
    for side in sides:
        content = look.kept_lockfile(side) or b""
        try:
            problem = lockfiles.read(content, format=result["format"]).problem
        except ValueError as error:  # the reader was uninstalled since
            return str(error)
        if problem is not None:
            return f"the {side} lockfile: {problem}"
    return None


def print_rows(
    upgrades: "Iterable[Upgrade]",
    question: Question,
    *,
    every: bool = False,
    env: "Callable[[], str]" = str,
) -> None:
    """
    Print upgrades as a table: the direct ones, or the first few.

    Args:
        every: Print every upgrade, however many there are.

        env: Returns the arguments that name the environment to a command.
    """
    rows = rows_of(upgrades, question.platform)
    direct = sum(upgrade.direct is True for upgrade, _ in rows)
    shown = len(rows) if every else max(_ROWS, min(direct, _DIRECT_ROWS))
    table([_row(*row) for row in rows[:shown]], indent=4)
    if len(rows) > shown:
        is_indirect = all(upgrade.direct is False for upgrade, _ in rows[shown:])
        more = ", not required directly" * is_indirect
        command = f"'upgrade-state show{env()} --all'"
        out(f"    and {len(rows) - shown} more{more}: {command}", hang=4)


def rows_of(
    upgrades: "Iterable[Upgrade]", platform: str | None
) -> "list[tuple[Upgrade, str]]":
    """
    Return each change with its platforms, directly required packages first.

    A change that is the same on several platforms is one row; "": on all of them.
    """
    rows = [u for u in upgrades if platform is None or u.platform in (None, platform)]
    rows.sort(key=lambda u: (u.direct is not True, _KINDS.index(u.kind), u.name))
    merged: dict[Any, tuple[Upgrade, set[str]]] = {}
    for upgrade in rows:
        _, found = merged.setdefault(tuple(_row(upgrade, "")), (upgrade, set()))
        if upgrade.platform:
            found.add(upgrade.platform)
    everywhere = set[str]().union(*(found for _, found in merged.values()))
    return [
        (upgrade, "" if found in (set(), everywhere) else ", ".join(sorted(found)))
        for upgrade, found in merged.values()
    ]


def _row(upgrade: "Upgrade", platforms: str) -> tuple[Part, ...]:
    """
    Return the columns of a change: name, old, arrow, new and remarks.
    """
    old = _short(", ".join(upgrade.old)) or "unknown"
    new = _short(", ".join(upgrade.new)) or "unknown"
    builds = _short(upgrade.old_build or ""), _short(upgrade.new_build or "")
    remarks: list[str] = [] if upgrade.kind == "version" else [upgrade.kind]
    # Two builds that are equal or long, such as paths in a Nix store, say nothing.
    is_rebuild = upgrade.kind == "rebuild" and all(builds) and len(set(builds)) == 2
    if is_rebuild and max(map(len, builds)) <= _BUILD:
        remarks.append(" → ".join(builds))
    if upgrade.local or upgrade.internal:
        remarks.append(f"{'local' if upgrade.local else 'internal'}, not counted")
    remarks.append(platforms and f"[{platforms}]")
    is_one = upgrade.kind != "version"
    return (
        upgrade.name,
        Styled("" if upgrade.kind == "added" else old, "dim"),
        "" if is_one else "→",
        Styled("" if upgrade.kind in ("removed", "rebuild") else new, "bold"),
        Styled(", ".join(filter(None, remarks)), "dim"),
    )


def _short(text: str) -> str:
    """
    Shorten commits to the seven digits that people use.
    """
    return _COMMIT.sub(lambda found: found[0][:7], text)
