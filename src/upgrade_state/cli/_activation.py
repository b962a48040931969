"""
The command `notify` as activations call it, without a parser.

An activation loads this module, so it imports at module level only modules that
a bare interpreter has loaded. All other arguments are left to the parser.
"""

import os
import sys

from upgrade_state import StateStore, _look, _policy
from upgrade_state.cli._targets import Target, UsageError, shell_path

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from upgrade_state import Look
    from upgrade_state.checks import Recipe

# Options that are durations, and the variables with their defaults.
DURATIONS = {
    "interval": "UPGRADE_STATE_INTERVAL",
    "reminder": "UPGRADE_STATE_REMINDER",
    "max_age": "UPGRADE_STATE_MAX_AGE",
    "could_not_check": "UPGRADE_STATE_COULD_NOT_CHECK",
}

_MAIN = "import sys; from upgrade_state.cli import main; sys.exit(main())"

# The options of an activation; those with values have them under the names.
_FLAGS = ("--always", "--check", "--peek")
_VALUES = {
    f"--{name.replace('_', '-')}": name
    for name in ("cache_dir", "lockfile", "name", *DURATIONS)
}

switches = _look.switches


def try_run(arguments: "list[str]") -> bool:
    """
    Run `notify` if its options are those that an activation uses.

    Returns:
        False for other arguments: nothing was done.
    """
    flags: set[str] = set()
    values: dict[str, str] = {}
    places, rest = [], list(arguments)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        is_next = not has_value and rest and not rest[0].startswith("-")
        if name in _VALUES and (has_value or is_next):
            values[_VALUES[name]] = value if has_value else rest.pop(0)
        elif name in _FLAGS and not has_value:
            flags.add(name)
        elif name.startswith("-"):
            return False
        else:
            places.append(name + has_value + value)
    if len(places) > 1:
        return False
    if not os.path.isabs(values.get("cache_dir", "/")):
        return False  # nor is it a database
    try:
        store = StateStore(values.pop("cache_dir", None))
        names = values.pop("lockfile", None), values.pop("name", None)
        target = Target(store, (*places, None)[0], *names)
        given = _durations(values)
        looks = target.to_notify_of()
    except (ValueError, UsageError):
        return False
    if "--peek" in flags:
        return _try_peek(looks)
    max_age = given.pop("max_age", None)
    notify(looks, given, always="--always" in flags)
    if "--check" in flags:
        start_checks(looks, max_age=max_age)
    return True


def _durations(values: "dict[str, str]") -> "dict[str, int]":
    """
    Return the durations of options and variables in seconds.

    Raises:
        ValueError: The value of an option is no duration.
    """
    if not values and not any(
        variable in os.environ for variable in DURATIONS.values()
    ):
        return {}
    from upgrade_state.cli import _times

    given = {name: _times.seconds_of(text) for name, text in values.items()}
    rest = {name: v for name, v in DURATIONS.items() if name not in given}
    return _times.of_variables(rest) | given


def notify(
    looks: "list[Look]",
    durations: "dict[str, int]",
    *,
    always: bool = False,
    platform: "str | None" = None,
) -> None:
    """
    Claim the notices of environments, and print those that are granted.

    Args:
        looks: A look at each environment.

        durations: The arguments of `EnvironmentState.claim_notice` in seconds: a
            timedelta takes longer to load than a silent activation. Checks must
            have failed for a week before the notice says so, unless it is given.

        always: Claim them also if stderr is no terminal.

        platform: Count the upgrades for this platform; None: for all.
    """
    if not always and not os.isatty(2):  # the notice might never be seen
        return
    for look in looks:
        environment = look.environment
        question = _policy.Question(
            interval=durations.get("interval", _policy.DAY),
            reminder=durations.get("reminder"),
            platform=platform,
            could_not_check=durations.get("could_not_check", _policy.WEEK),
            switch=_look.switch(),
            place=(environment.path or "", environment.name),
        )
        verdict = environment._claim(look, question)
        if not verdict:
            continue
        from upgrade_state.cli._output import err, quoted_name

        message = verdict.message
        is_one = sum(look.record is not None for look in looks) == 1
        if environment.lockfile_name is not None and not is_one:
            name = quoted_name(*question.place)
            named = f"{name} ({environment.lockfile_name})"
            message = message.replace(name, named, 1)
        # If checks fail the tool may be missing: its command is no advice then.
        is_advice = verdict.reason == "notify"
        details = _details(look, has_command=is_advice)
        err(f"{message} Run '{details}' for details.")


def _details(look: "Look", *, has_command: bool) -> str:
    """
    Return the command of the recipe, which runs in the directory only, or `show`.
    """
    path = look.environment.path or ""
    try:
        place = os.getcwd()
    except OSError:  # the working directory was removed
        place = ""
    recipe = recipe_of(look) if has_command and place == path else None
    if recipe is not None:
        return recipe.details
    is_below = f"{place}/".startswith(f"{path}/")
    return "upgrade-state show" + ("" if is_below else f" {shell_path(path)}")


def count(looks: "list[Look]", platform: "str | None" = None) -> str:
    """
    Return how many upgrades a notice would be about, were it not for earlier notices.

    Returns:
        A number. "?" if it is only known that a lockfile would change; "" if there is
        nothing to upgrade, or nothing to be said about it.
    """
    number, is_opaque = 0, False
    for look in looks:
        question = _policy.Question(
            interval=0, platform=platform, switch=_look.switch()
        )
        verdict = look._verdict(question)
        if verdict:
            number += verdict.version_changes + verdict.rebuilds
            is_opaque |= verdict.opaque
    return str(number) if number else "?" * is_opaque


def _try_peek(looks: "list[Look]") -> bool:
    """
    Print the number of upgrades if there are any.

    Returns:
        False if stdout cannot be written to.
    """
    text = count(looks)
    try:
        if text and sys.stdout is not None:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    except OSError:
        return False
    return True


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


def start_checks(looks: "list[Look]", *, max_age: "int | None" = None) -> None:
    """
    Start a background check of each environment that is due and has consent.

    Args:
        looks: A look at each environment.

        max_age: For how many seconds a check is good. None: for a day.
    """
    seconds = _policy.DAY if max_age is None else max_age
    for look in looks:
        path, name = look.environment.path, look.environment.lockfile_name
        # Entering a directory is no consent: resolving can run code of the project.
        if not look.record or not look.record["consent"] or not path or name is None:
            continue
        is_due = look._freshness(seconds).due
        # Examining the directory takes longer than the rest: once a check is due.
        if not is_due or not look._consent_holds() or look.missing:
            continue
        from upgrade_state.cli import _program

        argv = _program.command(_MAIN)
        argv += ["check", "--if-due", f"--lockfile={name}"]
        if look.environment.name is not None:
            argv.append(f"--name={look.environment.name}")
        argv.append(f"--max-age={seconds}s")
        command = [os.fsencode(argument) for argument in (*argv, path)]
        look.environment._start(look, lambda look: look._freshness(seconds), command)
