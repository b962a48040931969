"""
The command `upgrade-state`: the only place of this library that prints.

`notify` is what shells run when a directory is entered, and `hook` when they start,
so these are looked at before anything heavy is loaded.
"""

import sys

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """
    Run the command line.

    Args:
        arguments: What stands after the command's name; None: `sys.argv`.

    Returns:
        The exit status: 0 done; 1 the answer is no; 2 usage or error; 130
        ended by Ctrl-C; 143 by SIGTERM. `notify` always 0, but for Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words and words[0] == "notify":
            from upgrade_state.cli import _notify  # noqa: PLC0415 - see the top

            if _notify.try_run(words[1:]):
                return 0
        elif words and words[0] == "hook":
            from upgrade_state.cli import _hook  # noqa: PLC0415 - see the top

            if _hook.try_run(words[1:]):
                return 0
        from upgrade_state.cli import _main  # noqa: PLC0415 - see the top

        return _main.run(words)
    except KeyboardInterrupt:
        return 130
