"""
The command `check`: look for upgrades in one directory now.
"""

import datetime as dt
import os
import sys
from typing import Final

from upgrade_state import (
    Consent,
    EnvironmentState,
    UpgradeStateError,
    checks,
    lockfiles,
)
from upgrade_state.cli import _json
from upgrade_state.cli._hints import no_lockfile, recipe_for, the_one
from upgrade_state.cli._output import (
    Styled,
    err,
    for_each,
    is_terminal,
    out,
    print_line,
    print_raw,
    progress,
)
from upgrade_state.cli._parser import Parser, Question, ResolverOptions, limit
from upgrade_state.cli._sharing import origin, sharing
from upgrade_state.cli._signals import ENDING, cancel_on_signals
from upgrade_state.cli._targets import (
    Target,
    UsageError,
    name_of,
    shell_path,
    tilde,
)
from upgrade_state.cli._upgrades import print_rows, print_upgrades
from upgrade_state.cli._view import View, print_state
from upgrade_state.exceptions import ResolverError

# An environment, its resolver, and the recipe that the resolver is made of.
Planned = tuple[EnvironmentState, checks.Resolver, checks.Recipe | None]

BUSY: Final = "another process is checking it"
OVERTAKEN: Final = "another check was faster; its result is kept"

EXAMPLE = "check -- make relock"

DESCRIPTION = """\
Make a check now: find out which upgrades there are, and remember them. The
environment itself is not touched. `check --if-due` repeats a check if one is due,
`check --all` does so in every known environment.

Without COMMAND, the recipe for the lockfile is used. This is your consent: from
then on, the hook and `notify --check` may repeat the check in this directory, with
the same --copy, --env and --sandbox. `show` says whether they do. The hook finds no
environment with a --name: `check --all` repeats its checks. `check --once`
gives no consent, and `forget` withdraws it. A check with a COMMAND is never repeated.

A recipe and a COMMAND both run in a copy of the project: the files that git tracks
or would add, or else the directory without virtual environments and caches. --copy
adds a file or directory that git ignores; if the project is too large for a copy,
only these are copied.

COMMAND runs without a shell. The lockfile that it leaves in the copy is the new
lockfile. UPGRADE_STATE_ENV names the environment's directory.
"""


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.usage = """%(prog)s [options] [ENV] [-- COMMAND ...]
       %(prog)s --if-due [options] [ENV]
       %(prog)s --all [options] [-- COMMAND ...]"""
    parser.add_target(which="the nearest with a lockfile, upward")
    words = "use this recipe (default: by the lockfile; see upgrade-state recipes)"
    parser.add("--recipe", words, "NAME")
    parser.add("--once", "give no consent to repeat this check automatically")
    words = "end a check after this time (default: 10m)"
    parser.add("--timeout", words, "DURATION", limit)
    parser.add_shared("--format")
    parser.add_resolving()


def run(
    target: Target,
    resolving: ResolverOptions,
    question: Question,
    *,
    format: str | None,  # noqa: A002
    once: bool,
    json: bool,
    shared: str | None,
) -> int:
    """
    Check every environment that has a resolver; 1 if a check brought no result.
    """
    target = target.nearest()
    env, lacking = target.env or "", ""
    # A recipe can create a lockfile.
    directory, name = os.path.split(env)
    can_create = resolving.recipe is not None and lockfiles.format_of(name) is not None
    if not (can_create and os.path.isdir(directory or ".")) and not os.path.exists(env):
        raise target.no_such()
    try:
        if resolving.argv is None:
            plan, lacking = _with_recipes(target, resolving)
        elif resolving.recipe is not None:
            raise UsageError("either --recipe or a COMMAND, not both")
        else:
            plan = [(the_one(target), command_of(resolving), None)]
    except ValueError as error:
        raise mistake(error) from error
    path = plan[0][0].path or ""
    for copy in resolving.copies:  # before a failure is recorded
        if not os.path.exists(os.path.join(path, copy)):
            message = f"--copy: there is no file or directory {copy!r}"
            raise UsageError(f"{message} in {tilde(path)!r}")

    def check(planned: Planned) -> int:
        environment, _, by = planned
        consent = None
        if by is not None and not once:
            try:
                consent = Consent(by.name, resolving.copies, resolving.passes)
            except ValueError as error:
                err(f"{name_of(environment)}: consent cannot be recorded: {error}")
        before = environment.look().consent
        read_as = by.format if by and format is None else format
        outcome = _outcome(
            planned, consent, read_as, question, json=json, shared=used.results
        )
        used.report(outcome)
        view = View(outcome.look or environment.look(), question)
        is_checked = outcome.state == "checked"
        if json:
            print_raw(
                _json.line_of(view, outcome=outcome.state, shared=outcome.is_shared)
            )
        elif is_checked:
            print_state(view)
            print_upgrades(view, every=False)
            count_as_notice(environment, question)
        _report(view.name, outcome)
        if is_checked and view.look.consent not in (None, before):
            given.append(view)
        return 0 if is_checked else 1

    given: list[View] = []
    try:
        with sharing(shared, is_drawn=not (json and is_terminal(sys.stdout))) as used:
            return max(for_each(plan, check))
    finally:  # once for all lockfiles of a directory
        progress("")
        _print_last(given, lacking)


def _print_last(given: list[View], lacking: str) -> None:
    """
    Print how to withdraw the consent that was given, and what has no recipe.
    """
    if given:
        one, *more = given
        place = shell_path(one.look.environment.path or "")
        by = "the hook" if one.is_hooked else "'upgrade-state check --all'"
        stop = f"upgrade-state forget {place}{'' if more else one.arguments.options}"
        err(f"{by} may repeat this check from now on; to stop it: '{stop}'")
    if lacking:
        print_line(Styled(lacking, "dim"), most=1)


def _outcome(
    planned: Planned,
    consent: Consent | None,
    format: str | None,  # noqa: A002
    question: Question,
    *,
    json: bool,
    shared: checks.SharedResults | None,
) -> checks.Outcome:
    """
    Make a check; if its result cannot be stored, print it all the same.
    """
    environment, resolver, by = planned
    resolved: list[tuple[bytes | None, bytes]] = []

    if not (json and is_terminal(sys.stdout)):
        progress(f"checking {name_of(environment)}…")
    try:
        with cancel_on_signals(*ENDING) as cancellation:
            return checks.check(
                environment,
                resolver,
                without_lockfile=True,
                consent=consent,
                checker=None if by is None else by.name,
                format=format,
                cancellation=cancellation,
                observe=lambda *sides: resolved.append(sides),
                shared=shared,
            )
    except UpgradeStateError:
        if resolved and not json:
            out(f"{name_of(environment)}: checked, but the result could not be stored")
            name = format or lockfiles.format_of(environment.lockfile_name or "")
            if name is not None:
                sides = (lockfiles.read(s or b"", format=name) for s in resolved[0])
                print_rows(lockfiles.diff(*sides).upgrades, question)
        raise


def mistake(error: ValueError) -> UsageError:
    """
    Return the usage error for a value that a resolver refuses.

    The message of *error* ends with the name of the attribute.
    """
    message = str(error)
    for name, option in ("copies", "--copy: "), ("passes", "--env: "), ("argv", ""):
        if message.endswith(f" ({name})"):
            message = option + message.removesuffix(f" ({name})")
    return UsageError(message)


def _report(name: str, outcome: checks.Outcome) -> None:
    """
    Print why a check was made in vain: at a terminal, in the tool's own lines.
    """
    error = outcome.error
    if isinstance(error, ResolverError) and error.output and is_terminal(sys.stderr):
        err(f"{name}: {error.summary}")
        for line in (*error.output, *([f"hint: {error.hint}"] if error.hint else [])):
            print_line(f"  {line}")
    elif line := problem_of(outcome) or origin(outcome):
        err(f"{name}: {line}")


def count_as_notice(environment: EnvironmentState, question: Question) -> None:
    """
    Record that the user was notified, if the upgrades were printed at a terminal.
    """
    if is_terminal(sys.stdout):
        zero = dt.timedelta(0)
        environment.claim_notice(interval=zero, platform=question.platform)


def problem_of(outcome: checks.Outcome) -> str | None:
    """
    Return why a check was made in vain; None if it was not.
    """
    if outcome.error is not None:
        return outcome.error.message
    return {"busy": BUSY, "dropped": OVERTAKEN}.get(outcome.state)


def command_of(resolving: ResolverOptions) -> checks.Command:
    """
    Return the resolver that runs the COMMAND.

    Raises:
        ValueError: An option is not usable.
    """
    first, *rest = resolving.argv or [""]
    # A path starts at the user's directory, unless that file is copied.
    copied = map(os.path.normpath, resolving.copies)
    if "/" in first and os.path.normpath(first) not in copied:
        first = os.path.abspath(first)
    return checks.Command(
        [first, *rest],
        copies=resolving.copies,
        passes=resolving.passes,
        sandbox=resolving.sandbox,
        timeout=resolving.timeout,
    )


def _with_recipes(
    target: Target, resolving: ResolverOptions
) -> tuple[list[Planned], str]:
    """
    Return the environments that have a recipe, and a line about those without one.

    Raises:
        ResolverError: There is no recipe of the name.
        UsageError: None has one, or the named recipe is for other lockfiles.
    """
    named, environments = None, target.present()
    if resolving.recipe is not None:
        named = checks.recipe_named(resolving.recipe)
        environments = _for_recipe(target, named)
    plan: list[Planned] = []
    lacking: dict[str | None, list[str]] = {}
    for environment in environments:
        recipe = why = None
        try:
            recipe = recipe_for(environment, named)
        except ResolverError as error:
            why = error.message
        if recipe is None:
            lacking.setdefault(why, []).append(environment.lockfile_name or "")
            continue
        recipe = recipe.in_sandbox() if resolving.sandbox else recipe
        resolver = recipe.resolver(
            environment,
            copies=resolving.copies,
            passes=resolving.passes,
            timeout=resolving.timeout,
        )
        plan.append((environment, resolver, recipe))
    if plan and not lacking:
        return plan, ""
    for broken in checks.broken_recipes():
        err(broken)
    parts = (
        ", ".join(names[:2])
        + f" and {len(names) - 2} more" * (len(names) > 2)
        + (f": {why}" if why else "")
        for why, names in lacking.items()
    )
    message = f"no recipe for {'; none for '.join(parts)}"
    if not plan:
        if not lacking:
            hint = (
                "Name a directory with one; 'upgrade-state recipes' lists those known."
            )
            raise no_lockfile(target, hint)
        hint = "Give a COMMAND after --, or see 'upgrade-state recipes'."
        raise UsageError(message, hint)
    return plan, message


def _for_recipe(target: Target, recipe: checks.Recipe) -> list[EnvironmentState]:
    """
    Return the environments that a named recipe is for; at least one.

    Raises:
        UsageError: It is for other lockfiles.
    """
    is_directory = target.lockfile is None and os.path.isdir(target.env or "")
    if is_directory and "*" not in recipe.lockfile:
        target = Target(target.store, target.env, recipe.lockfile, target.name)
    found = {e.lockfile_name or "": e for e in target.present()}
    fitting = [e for name, e in found.items() if recipe.fits(name)]
    if not fitting:
        names = ", ".join(found) or "a directory without one"
        message = f"the recipe {recipe.name} is for {recipe.lockfile}, not for {names}"
        raise UsageError(message)
    return fitting
