"""
The commands `check` and `record`: what makes something known.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upgrade_state import _lockfile, checks, lockfiles
from upgrade_state.checks._scratch import copied_name, source_of
from upgrade_state.cli import _if_due
from upgrade_state.cli._all import check_all
from upgrade_state.cli._outcomes import BUSY, OVERTAKEN, trouble
from upgrade_state.cli._output import err, out, progress, raw
from upgrade_state.cli._parser import UsageError, refuse
from upgrade_state.cli._select import each, name_of, no_lockfile, present, the_one
from upgrade_state.cli._signals import ENDING, ended_by
from upgrade_state.cli._view import View, print_upgrades
from upgrade_state.exceptions import ResolverError, StateReadError

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace
    from typing import Final

    from upgrade_state._environment import EnvironmentState
    from upgrade_state.checks import Outcome, Recipe, Resolver

    Plan = list[tuple[EnvironmentState, Resolver, Recipe | None]]


# The consent goes with the recipe.
_NO_MORE: Final = (
    "its checks do not start by themselves any more, as this one was by no recipe;"
    " 'upgrade-state check' without a COMMAND takes that back"
)


def check(options: Namespace) -> int:
    """
    Make a check of each environment that can be checked.
    """
    if options.all:
        return check_all(options, _command_for_all(options))
    refuse(options, "jobs", "on_error", "restart", words="is for --all")
    options.env = "." if options.env is None else options.env
    if not _is_to_be_made(options):
        _refuse_missing(options)
    if options.if_due:
        return _if_due.check(options)
    plan = _plan(options)
    for name in options.copy:  # of the one directory, before any failure is recorded
        source_of(copied_name(name), plan[0][0].path or "")
    return max(each(plan, lambda planned: _check(*planned, options)))


def _refuse_missing(options: Namespace) -> None:
    if not os.path.exists(options.env):
        raise UsageError(f"there is no such directory or lockfile: {options.env!r}")


def _is_to_be_made(options: Namespace) -> bool:
    """
    Tell whether ENV is a lockfile that a recipe may make where there is none.
    """
    directory, name = os.path.split(options.env)
    is_lockfile = lockfiles.format_of(name) is not None
    return bool(options.recipe) and is_lockfile and os.path.isdir(directory or ".")


def _plan(options: Namespace) -> Plan:
    try:
        return _command(options) if options.argv is not None else _recipes(options)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _command_for_all(options: Namespace) -> Resolver | None:
    """
    Make the resolver for all environments; None: each has its own recipe.
    """
    words = "makes no sense with --all"
    refuse(options, "env", "lockfile", "recipe", "format", "if_due", words=words)
    if options.argv is None:
        words = "with --all needs a COMMAND"
        refuse(options, "copy", "pass_on", "sandbox", words=words)
        return None
    try:
        return _command_of(options, None)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _command(options: Namespace) -> Plan:
    if options.recipe:
        raise UsageError("either --recipe or a COMMAND, not both")
    return [(_with_lockfile(options), _command_of(options, options.limit), None)]


def _with_lockfile(options: Namespace) -> EnvironmentState:
    """
    Return the only environment; one without a lockfile could never be told of.
    """
    environment = the_one(options)
    if environment.lockfile_name is None:
        raise UsageError(f"{no_lockfile(options)}; name it with --lockfile")
    return environment


def _command_of(options: Namespace, limit: dt.timedelta | None) -> checks.Command:
    return checks.Command(
        _argv(options.argv, options.copy),
        copies=options.copy,
        passes=options.pass_on,
        sandbox=options.sandbox,
        timeout=limit or checks.DEFAULT_TIMEOUT,
    )


def _argv(argv: list[str], copies: list[str]) -> list[str]:
    """
    Name a command by the place where the user sees it, unless it is copied.
    """
    first = argv[0]
    is_here = "/" in first and os.path.normpath(first) not in map(
        os.path.normpath, copies
    )
    return [os.path.abspath(first), *argv[1:]] if is_here else argv


def _recipes(options: Namespace) -> Plan:
    environments = _with_recipe(options) if options.recipe else present(options)
    plan: Plan = []
    for environment in environments:
        recipe = _recipe_of(environment, options)
        if recipe is None:
            continue
        recipe = recipe.in_sandbox() if options.sandbox else recipe
        # A list of wishes may go by a lockfile's name.
        if _is_there(environment, recipe):
            resolver = recipe.resolver(
                environment,
                copies=options.copy,
                passes=options.pass_on,
                timeout=options.limit or checks.DEFAULT_TIMEOUT,
            )
            plan.append((environment, resolver, recipe))
    planned = [environment for environment, _, _ in plan]
    without = [e for e in environments if e not in planned]
    if without or not plan:
        _say_without(without, options, fatal=not plan)
    return plan


def _recipe_of(environment: EnvironmentState, options: Namespace) -> Recipe | None:
    if options.recipe:
        return _named(options.recipe)
    return checks.recipe_for(environment.lockfile_name, environment.path)


def _is_there(environment: EnvironmentState, recipe: Recipe) -> bool:
    manifest = os.path.join(environment.path or "", recipe.manifests[0])
    return os.path.isfile(manifest)


def _named(name: str) -> Recipe:
    try:
        return checks.recipe_named(name)
    except ResolverError as error:
        raise UsageError(error.message) from error


def _with_recipe(options: Namespace) -> list[EnvironmentState]:
    """
    Return the one environment that the recipe is for.
    """
    recipe = _named(options.recipe)
    if os.path.isdir(options.env) and options.lockfile is None:
        options.lockfile = recipe.lockfile
    environment = the_one(options)
    if environment.lockfile_name != recipe.lockfile:
        names = f"{recipe.lockfile}, not for {environment.lockfile_name}"
        raise UsageError(f"the recipe {recipe.name} is for {names}")
    lockfile = os.path.join(environment.path or "", recipe.lockfile)
    # A mistake, and not the failure of an environment that is remembered.
    if not os.path.isfile(lockfile) and not _is_there(environment, recipe):
        names = f"neither {recipe.lockfile} nor {recipe.manifests[0]}"
        raise UsageError(f"{names} is in {environment.path!r}")
    return [environment]


def _say_without(
    without: list[EnvironmentState], options: Namespace, *, fatal: bool
) -> None:
    """
    Say what has no recipe, what could be done, and which recipes are broken.
    """
    choices = ", ".join(checks.recipe_names())
    if without:
        names, how = f"no recipe for {' and '.join(map(_lacking, without))}", ""
    else:
        names, how = no_lockfile(options), "make one, or pick a recipe (--recipe), or "
    line = f"{names}; {how}give a COMMAND after --; recipes: {choices}"
    for broken in checks.broken_recipes():
        err(broken)
    if fatal:
        raise UsageError(line)
    err(line)


def _lacking(environment: EnvironmentState) -> str:
    """
    Name a lockfile, and what it lacks to be one of a recipe that there is.
    """
    name, directory = environment.lockfile_name or "", environment.path or ""
    recipe = checks.recipe_for(name)
    if recipe is None:
        return name
    if not recipe.may_be_for(directory):
        return f"{name} that was not made by {recipe.argv[0]}"
    return f"{name} without {recipe.manifests[0]}"


def _check(
    environment: EnvironmentState,
    resolver: Resolver,
    recipe: Recipe | None,
    options: Namespace,
) -> int:
    before = environment.look().recipe
    doing = progress(f"checking {name_of(environment)}")
    with ended_by(*ENDING) as cancellation, doing:
        outcome = checks.check(
            environment,
            resolver,
            recipe=recipe.name if recipe else None,
            format=options.format or (recipe.format if recipe else None),
            cancellation=cancellation,
        )
    _report(environment, outcome, options)
    if outcome.state == "checked" and recipe is None and before:
        err(f"{name_of(environment)}: {_NO_MORE}")
    return 0 if outcome.state == "checked" else 1


def _report(
    environment: EnvironmentState, outcome: Outcome, options: Namespace
) -> None:
    view = View(environment, options)
    if options.json:
        raw(view.as_json(outcome=outcome.state))
    elif outcome.state == "checked":
        out(f"{view.name}: {view.summary}")
        print_upgrades(view, every=False)
    words = trouble(outcome)
    if words is not None:
        err(f"{view.name}: {words}")


def record(options: Namespace) -> int:
    """
    Store the result of a check that was made elsewhere.
    """
    _refuse_missing(options)
    environment = _with_lockfile(options)
    old, new = _read(options.old), _read(options.new)
    checks.judge(environment, old, new, format=options.format)
    with environment.try_check(old) as guard:
        if guard is None:
            err(f"{name_of(environment)}: {BUSY}")
            return 1
        known = guard.recipe
        stored = guard.commit(new, format=options.format)
    if not stored:
        err(f"{name_of(environment)}: {OVERTAKEN}")
        return 1
    if environment.look().freshness().reason == "lockfile-changed":
        err(f"{name_of(environment)}: its lockfile is another one than {options.old}")
    if known is not None:
        err(f"{name_of(environment)}: {_NO_MORE}")
    return 0


def _read(path: str) -> bytes:
    content = _lockfile.read(path)
    if content is None:
        raise StateReadError("There is no regular file", path)
    return content
