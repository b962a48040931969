"""
From arguments to an exit status.
"""

import importlib
import re

from upgrade_state import UpgradeStateError
from upgrade_state.cli import _output
from upgrade_state.cli._targets import UsageError

TYPE_CHECKING = False  # typing takes longer to load than this module
if TYPE_CHECKING:
    from typing import Any

_OVERVIEW = """\
usage: upgrade-state COMMAND [OPTIONS] [ENV]

Remembers when upgrades were last checked, the result, and when you were
notified. ENV is a directory or a lockfile.

every day:
  check       Look for upgrades now, with the lockfile's recipe or with COMMAND.
  show        Show the state of an environment, and why you were (not) notified.
  list        List the environments that have been checked.
  snooze      Give no notice for some time.
  forget      Forget an environment, and your consent to automatic checks.

at the prompt:
  hook        Print code that gives notices at a shell's prompt.
  notify      Print a notice, once per interval; for activation scripts.
  completion  Print code that completes commands and environments.

more:
  record      Store the result of a check that was made elsewhere.
  path        Print where the record is, or would be.
  shared      Set up, list and prune the results that a team's checks share.
  recipes     List the recipes, and whether their tools are installed.
  prune       Forget environments whose directories were removed.
  doctor      Find problems of the store and of shared results; change nothing.
  version     Print the version.
  help        Print this help, or that of a command.

options, before or after the command:
  --cache-dir DIR  the absolute path of the cache directory
  --color WHEN     use colours: auto, always or never
  -h, --help       print this help, or that of a command
  -V, --version    print the version

exit status: 0 done; 1 the answer is no (nothing known, busy, check failed);
2 usage or error; 130 ended by Ctrl-C; notify always 0"""

# Every command with its summary. Its module has its name.
_COMMANDS = {
    line[2:14].strip(): line[14:]
    for line in _OVERVIEW.splitlines()
    if line.startswith("  ") and line[2] != "-"
}

# In the URL of a database.
_PASSWORD = re.compile(r"(?<=://).*(?=@)|(?<=password=)\S*")

_SYNONYMS = {"-h": "help", "--help": "help", "-V": "version", "--version": "version"}


def run(argv: list[str]) -> int:
    """
    Run the command in *argv* and return the exit status.
    """
    _output.prepare()
    is_notify = _leading(argv)[1][:1] == ["notify"]
    status = 0
    try:
        try:
            status = _run(argv)
        except UsageError as error:
            # At most two lines, however long a quoted argument is, and no password.
            text = _PASSWORD.sub("…", str(error))
            _output.err(re.sub("'([^']{99})[^']{20,}'", r"'\1…'", text))
            if error.hint is not None and (not is_notify or "--explain" in argv):
                _output.print_line(error.hint)
            status = error.status
        except UpgradeStateError as error:
            _output.report(error)
            status = 2
        except SystemExit as leaving:  # of argparse, and after SIGTERM
            status = leaving.code if isinstance(leaving.code, int) else 0
        _output.flush()
    except BrokenPipeError:  # the reader has closed its end, and needs no more
        pass
    except (_output.OutputError, OSError) as error:
        _output.err(str(error))
        status = 2
    # A prompt shows the status of its hook.
    return 0 if is_notify else status


def _run(argv: list[str]) -> int:
    if "\0" in "".join(argv):  # of a caller of `main`: no process has such arguments
        raise UsageError("an argument contains a NUL character")
    options, rest = _leading(argv)
    name, *more = rest or ["help"]
    name = _SYNONYMS.get(name, name)
    if name == "help":
        leading, more = _leading(more)
        options, more = options + leading, [word for word in more if word != "--"]
        if not more and not options:
            return _print_overview()
        if more and not more[0].startswith("-"):
            name, *more = *more, "--help"
    if name not in _COMMANDS:
        from upgrade_state.cli._parser import meant

        kind = "option" if name.startswith("-") else "command"
        message = f"there is no {kind} {name!r}{meant(name, _COMMANDS)}"
        raise UsageError(message, "Run 'upgrade-state help' to see all commands.")
    options, command = [*options, *more], None
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
    from upgrade_state.cli._parser import Parser, requests_of

    place = title.replace(" --", "_").replace("-", "_")
    module: Any = importlib.import_module(f"upgrade_state.cli._{place}")
    arguments = Parser(title, _COMMANDS[name], module).parse(options)
    _output.prepare(arguments.pop("color"))
    if name == "help":
        return _print_overview()
    if is_check:
        arguments["argv"] = command
    status: int = module.run(**requests_of(arguments))
    return status


def _print_overview() -> int:
    for line in _OVERVIEW.splitlines():
        # The rest of a text is below its beginning.
        _output.out(line, hang=line.rfind("  ") + 2 if line[:1] == " " else 0)
    return 0


def _leading(argv: list[str]) -> tuple[list[str], list[str]]:
    """
    Split the options of all commands, which may come first, from the rest.
    """
    end = 0
    while argv[end:] and argv[end].partition("=")[0] in ("--cache-dir", "--color"):
        end += 1 if "=" in argv[end] else 2
    return argv[:end], argv[end:]
