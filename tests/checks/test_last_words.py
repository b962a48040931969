"""
What tools have said when they gave up, as they really say it.
"""

import pytest

from upgrade_state.checks._last_words import is_unknown, last_words

SAID = {
    "uv": (
        (
            "Using CPython 3.11.7\n"
            "  \u00d7 No solution found when resolving dependencies:\n"
            "  \u2570\u2500\u25b6 Because shop depends on x>9 and x<9 is there, we\n"
            "      can conclude that shop's requirements are unsatisfiable.\n"
        ),
        (
            "\u00d7 No solution found when resolving dependencies:; "
            "\u2570\u2500\u25b6 Because shop depends on x>9 and x<9 is there, we; "
            "can conclude that shop's requirements are unsatisfiable."
        ),
    ),
    "pip": (
        (
            "Collecting x\n"
            "ERROR: Could not find a version that satisfies the requirement x\n"
            "ERROR: No matching distribution found for x\n"
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement x; "
            "ERROR: No matching distribution found for x"
        ),
    ),
    "npm": (
        (
            "npm warn old lockfile\n"
            "npm error code ETARGET\n"
            "npm error notarget No version found for x@9.\n"
            "npm error A complete log of this run can be found in: /home/ana/log\n"
        ),
        (
            "npm error code ETARGET; npm error notarget No version found for x@9.; "
            "npm error A complete log of this run can be found in: /home/ana/log"
        ),
    ),
    "poetry": (
        (
            "Resolving dependencies... (1.2s)\r\n\n"
            "Because shop depends on x (^9) which doesn't match any versions,"
            " version solving failed.\n"
        ),
        (
            "Because shop depends on x (^9) which doesn't match any versions,"
            " version solving failed."
        ),
    ),
    "conda": (
        (
            "Collecting package metadata: ...working... failed\n\n"
            "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://a.example/x>\n"
        ),
        "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <<URL>>",
    ),
    "pdm": (
        "Changes are reverted.\n[ResolutionImpossible]: Unable to find a resolution\n",
        "[ResolutionImpossible]: Unable to find a resolution",
    ),
    "spack": ("==> Error: no such package\n", "==> Error: no such package"),
    "git": ("warning: x\nfatal: unable to access\n", "fatal: unable to access"),
    "retry": ("error: 1\ntrying again\nerror: 2\n", "error: 2"),
    "progress": ("10 %\r20 %\rdone\r\n", "done"),
    "title": ("\x1b]0;pwned\x07\x1b[31mred\x1b[0m\n", "red"),
    "nothing": ("\n \n", ""),
}


@pytest.mark.parametrize("tool", SAID)
def test_last_words(tool):
    """
    The words begin where the last trouble begins.
    """
    output, words = SAID[tool]

    assert words == last_words(output.encode())


@pytest.mark.parametrize(
    "words",
    [
        "error: unrecognized subcommand 'lock'",
        "error: unexpected argument '--upgrade' found",
        "Error: No such option: --x",
        'ERROR: unknown command "lock"',
        "pdm: error: unrecognized arguments: --x",
        'The option "--regenerate" does not exist',
        "error: 'lock' is not a recognised command",
        "error: no such command: `x`",
        "error: `--x` is not expected in this context",
    ],
)
def test_unknown(words):
    """
    A tool that does not know what it was asked for is too old, or another one.
    """
    assert is_unknown(words.encode())


@pytest.mark.parametrize(
    "words",
    ["error: no route to host", "cc: error: unrecognized command-line option '-x'", ""],
)
def test_known(words):
    """
    Other troubles are not that.
    """
    assert not is_unknown(words.encode())
