"""
The command `notify` as activations call it, without a parser.

An activation loads this module, so it imports at module level only modules that
a bare interpreter has loaded. All other arguments are left to the parser.
"""

import os
import sys

from upgrade_state import StateStore, _look, _policy
from upgrade_state.cli._targets import Target, UsageError

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt

    from upgrade_state import Look
    from upgrade_state.checks import Recipe


def try_run(arguments: "list[str]") -> bool:
    """
    Run `notify` if its options are those that an activation uses.

    Returns:
        False for other arguments: nothing was done.
    """
    flags, rest = set(), list(arguments)
    while rest and rest[0] in ("--always", "--check", "--or-above"):
        flags.add(rest.pop(0))
    cache_dir = None
    if rest[:1] == ["--cache-dir"] and len(rest) > 1:
        cache_dir, rest = rest[1], rest[2:]
    if len(rest) > 1 or (rest and rest[0].startswith("-")):
        return False
    try:
        target = Target(StateStore(cache_dir), rest[0] if rest else ".")
        looks = target.to_notify_of(or_above="--or-above" in flags)
    except (ValueError, UsageError):
        return False
    notify(looks, always="--always" in flags)
    if "--check" in flags:
        start_checks(looks)
    return True


def notify(
    looks: "list[Look]",
    *,
    always: bool = False,
    interval: int = _policy.DAY,
    platform: "str | None" = None,
    could_not_check: int = _policy.WEEK,
) -> None:
    """
    Claim the notices of environments, and print those that are granted.

    Args:
        looks: A look at each environment.

        always: Claim them also if stderr is no terminal.

        interval: Minimum number of seconds between two notices. Seconds: a
            timedelta takes longer to load than a silent activation.

        platform: Count the upgrades for this platform; None: for all.

        could_not_check: For how many seconds checks must have failed before
            the notice says so.
    """
    if not always and not os.isatty(2):  # the notice might never be seen
        return
    for look in looks:
        environment = look.environment
        question = _policy.Question(
            interval=interval,
            platform=platform,
            could_not_check=could_not_check,
            switch=_look.switch(),
            directory=environment.path or "",
        )
        verdict = environment._claim(look, question)
        if not verdict:
            continue
        from upgrade_state.cli._output import print_line

        message = verdict.message
        # If checks fail the tool may be missing: its command is no advice then.
        if verdict.reason == "notify" and (recipe := recipe_of(look)) is not None:
            message += f" Run '{recipe.details}' for details."
        print_line(message)


def recipe_of(look: "Look") -> "Recipe | None":
    """
    Return the recipe that made the last check, for its lockfile; None: there is none.
    """
    checker: str | None = look.record["checker"] if look.record else None
    if not checker:
        return None
    from upgrade_state import checks
    from upgrade_state.exceptions import ResolverError

    try:
        recipe = checks.recipe_named(checker)
        environment = look.environment
        return recipe.bound(environment.path or "", environment.lockfile_name or "")
    except ResolverError:
        return None


def start_checks(looks: "list[Look]", *, max_age: "dt.timedelta | None" = None) -> None:
    """
    Start a background check of each environment that is due and has consent.

    Args:
        looks: A look at each environment.

        max_age: How long a check is good for. None: a day.
    """
    for look in looks:
        path, name = look.environment.path, look.environment.lockfile_name
        # Entering a directory is no consent: resolving can run code of the project.
        if not look.record or not look.record["consent"] or not path or name is None:
            continue
        # Examining the directory takes longer than the rest: once a check is due.
        if not look.freshness(max_age=max_age).due or not look.consent or look.missing:
            continue
        # -P: no module is imported from the directory that was entered.
        argv = [sys.executable or "python3", "-P", "-m", "upgrade_state"]
        argv += ["check", "--if-due", f"--lockfile={name}"]
        if max_age is not None:
            argv.append(f"--max-age={int(max_age.total_seconds())}s")
        command = [os.fsencode(argument) for argument in (*argv, path)]
        look.environment._start(look, command, max_age=max_age)
