"""
From arguments to an exit status.
"""

import importlib
from typing import Any, Final

from upgrade_state import UpgradeStateError
from upgrade_state.cli import _output
from upgrade_state.cli._parser import Parser, requests_of
from upgrade_state.cli._targets import UsageError

# A command's module has its name.
_COMMANDS: Final = {
    "show": "Show the state of an environment, and why you were (not) notified.",
    "list": "List the environments of which something is known.",
    "check": "Look for upgrades now, with the lockfile's recipe or with COMMAND.",
    "record": "Store the result of a check that was made elsewhere.",
    "notify": "Print a notice on stderr, once per interval; for activation scripts.",
    "snooze": "Give no notice for some time.",
    "forget": "Forget an environment, and your consent to automatic checks.",
    "prune": "Forget environments whose directories were removed.",
    "hook": "Print code that gives notices at a shell's prompt.",
    "path": "Print where the record is, or would be.",
    "recipes": "List the recipes, and whether their tools are installed.",
    "completion": "Print code that completes commands and environments in a shell.",
    "doctor": "Look for problems of the state on disk, and change nothing.",
}

_HELP: Final = """\
usage: upgrade-state COMMAND ...

Remembers when upgrades were last checked, the result, and when you were
notified.

commands:
{commands}

options:
  --version  print the version

exit status: 0 done; 1 the answer is no (nothing known, busy, check failed);
2 usage or error; 130 ended by Ctrl-C; notify always 0"""


def run(argv: list[str]) -> int:
    """
    Run the command in *argv* and return the exit status.
    """
    _output.prepare()
    status = 0
    try:
        try:
            status = _run(argv)
        except (UsageError, UpgradeStateError) as error:
            _output.err(str(error))
            status = 2
        except SystemExit as leaving:  # of argparse, and after SIGTERM
            status = leaving.code if isinstance(leaving.code, int) else 0
        _output.flush()
    except BrokenPipeError:  # the reader has closed its end
        _output.give_up()
    except (_output.OutputError, OSError) as error:
        if isinstance(error, _output.OutputError):
            _output.give_up()
        _output.err(str(error))
        status = 2
    # A prompt shows the status of its hook.
    return 0 if argv[:1] == ["notify"] else status


def _run(argv: list[str]) -> int:
    name = argv[0] if argv else ""
    if name in ("-h", "--help"):
        commands = "\n".join(f"    {n:<10} {text}" for n, text in _COMMANDS.items())
        _output.print_raw(_HELP.format(commands=commands))
        return 0
    if name == "--version":
        from upgrade_state import __version__

        _output.out(f"upgrade-state {__version__}")
        return 0
    if name.startswith("-"):
        message = f"the COMMAND comes first, and then its options: {name}"
        raise UsageError(message)
    if name not in _COMMANDS:
        message = f"no such command: {name!r}" if name else "a COMMAND is needed"
        raise UsageError(f"{message} (see upgrade-state --help)")
    options, command = argv[1:], None
    if name == "check" and "--" in options:
        at = options.index("--")
        options, command = options[:at], options[at + 1 :]
        if not command:
            raise UsageError("there is no COMMAND after --")
    title = name
    for mode in ("--all", "--if-due") if name == "check" else ():
        if title == name and mode in options:
            options.remove(mode)
            title = f"check {mode}"
    is_check = title in ("check", "check --all")
    if command is not None and not is_check:
        raise UsageError(f"{title} repeats a recipe and takes no COMMAND")
    place = title.replace(" --", "_").replace("-", "_")
    module: Any = importlib.import_module(f"upgrade_state.cli._{place}")
    parsed, unknown = Parser(title, _COMMANDS[name], module).parse_known_args(options)
    if unknown:
        after = "a COMMAND comes after --; " if is_check else ""
        raise UsageError(
            f"unrecognized arguments: {' '.join(unknown)}"
            f" ({after}see upgrade-state {title} --help)"
        )
    arguments = vars(parsed) | ({"argv": command} if is_check else {})
    status: int = module.run(**requests_of(arguments))
    return status
