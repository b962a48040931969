"""
The command `upgrade-state`, the only part of this library that prints.

A shell runs `notify` when a directory is entered, `hook` and `completion` when it
starts, so these three are tried before a parser is loaded.
"""

import os
import sys

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """
    Run the command line.

    Args:
        arguments: The arguments after the command's name; None: `sys.argv`.

    Returns:
        The exit status: 0 done; 1 the answer is no; 2 usage or error; 130
        ended by Ctrl-C; 143 by SIGTERM. `notify` returns 0, except on Ctrl-C.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if argv[:1] == ["notify"]:
            from upgrade_state.cli import _activation

            if _activation.try_run(argv[1:]):
                return 0
        elif argv[:1] == ["hook"]:
            from upgrade_state.cli import _hook

            if _hook.try_run(argv[1:]):
                return 0
        elif argv[:1] == ["completion"]:
            from upgrade_state.cli import _completion

            if _completion.try_run(argv[1:]):
                return 0
        from upgrade_state.cli import _main

        return _main.run(argv)
    except KeyboardInterrupt:
        return 130


def script() -> int:
    """
    Run the command line as a program, for the script that an installer writes.

    `notify` ends the process here: taking apart the modules of an interpreter takes
    longer than all our imports, and everything is written by then.

    Returns:
        The exit status: see `main`.
    """
    status = main()
    if sys.argv[1:2] == ["notify"]:
        os._exit(status)
    return status
