"""
What the real tools write when they fail, and what is made of it.

The files in data/ are their output, without hosts and home directories: with
proxies that nobody listens to, with options and commands that they do not have,
with wishes and interpreters that there are none of.
"""

from pathlib import Path

import pytest

from upgrade_state.checks import Command
from upgrade_state.checks._diagnosis import advice, last_words
from upgrade_state.exceptions import ResolverError

DATA = Path(__file__).parent / "data"

NETWORK = "check the network and the proxy"
NEEDS = "install a newer one"

WORDS = {
    "cargo.offline": (
        (
            "error: failed to get `serde` as a dependency of package `shop v0.1.0"
            " (/home/ana/shop)`; download of config.json failed; failed to download"
            " from `<URL>`; [7] Could not connect to server (Failed to connect to"
            " 127.0.0.1 port 9 after 0 ms: Could not connect to server)"
        ),
        NETWORK,
    ),
    "cargo.option": (
        (
            "error: unexpected argument '--nonsense' found;"
            " tip: to pass '--nonsense' as a value, use '-- --nonsense'"
        ),
        NEEDS,
    ),
    "mise.conflict": (
        (
            "error: failed to resolve npm:nosuchthing@1 for lockfile"
            " /home/ana/shop/mise.lock; package not found: nosuchthing"
        ),
        None,
    ),
    "mise.offline": (
        (
            "error: failed to resolve npm:left-pad@1 for lockfile"
            " /home/ana/shop/mise.lock; timed out after 20.00s"
        ),
        NETWORK,
    ),
    "mise.option": (
        (
            "error: unexpected argument '--nonsense' found;"
            " tip: to pass '--nonsense' as a value, use '-- --nonsense'"
        ),
        NEEDS,
    ),
    "npm.conflict": (
        (
            "error: code ETARGET;"
            " notarget No matching version found for debug@^99.0.0.;"
            " notarget In most cases you or one of your dependencies are"
            " requesting a package version that doesn't exist."
        ),
        None,
    ),
    "npm.offline": (
        (
            "FetchError: request to <URL> failed, reason:"
            " connect ECONNREFUSED 127.0.0.1:9; }; If you are behind a proxy, please"
            " make sure that the 'proxy' config is set properly."
            " See: 'npm help config'"
        ),
        NETWORK,
    ),
    "pdm.command": (
        (
            "pdm: error: [red]Command not found: lokk[/];"
            " [green]Did you mean one of these commands?; - lock[/]"
        ),
        NEEDS,
    ),
    "pdm.conflict": (
        (
            "ERROR: Unable to find a resolution for idna; Please make sure the package"
            " name is correct.; 0:00:00 🔒 Lock failed.;"
            " [ResolutionError]: Unable to find a resolution"
        ),
        None,
    ),
    "pdm.offline": ("[ConnectError]: [Errno 111] Connection refused", NETWORK),
    "pdm.option": ("pdm lock: error: unrecognized arguments: --nonsense", NEEDS),
    "pdm.python": (
        "[NoPythonVersion]: No Python that satisfies >=3.77 is found on the system.",
        None,
    ),
    "pip-tools.offline": (
        (
            "ERROR: Could not find a version that satisfies the requirement"
            " anyio==4.0.0 (from versions: none)"
        ),
        NETWORK,
    ),
    "pip-tools.option": (
        (
            "Error: No such option '--nonsense'. (Did you mean one of: '--newline',"
            " '--no-annotate', '--no-index'?)"
        ),
        NEEDS,
    ),
    "pip.command": ('ERROR: unknown command "lock"', NEEDS),
    "pip.conflict": ("ERROR: No matching distribution found for idna==99", None),
    "pip.offline": (
        "ERROR: No matching distribution found for anyio==4.0.0",
        NETWORK,
    ),
    "pip.option": ("no such option: --nonsense", NEEDS),
    "pipenv.conflict": (
        (
            "ERROR: No matching distribution found for idna==99;"
            " The conflict is caused by:; The user requested idna==99"
        ),
        None,
    ),
    # Pipenv does not tell this from a package that there is none of.
    "pipenv.offline": (
        (
            "ERROR: No matching distribution found for iniconfig==2.0.0;"
            " The conflict is caused by:; The user requested iniconfig==2.0.0"
        ),
        None,
    ),
    "pipenv.option": ("pipenv: error: unrecognized arguments: --nonsense", NEEDS),
    "pipenv.python": (
        (
            "Warning: Python 3.77 was not found on your system...; You can specify"
            " specific versions of Python with:; $ pipenv --python path/to/python"
        ),
        None,
    ),
    "poetry.command": (
        (
            "The requested command updat does not exist.; Did you mean one of these"
            " perhaps?; self update: Updates Poetry to the latest version.; update:"
            " Update the dependencies as according to the pyproject.toml file."
        ),
        NEEDS,
    ),
    "poetry.conflict": (
        (
            "Because shop depends on idna (99) which doesn't match any versions,"
            " version solving failed."
        ),
        None,
    ),
    "poetry.offline": (
        (
            "All attempts to connect to index.example failed.; Probable Causes:;"
            " - the server is not responding to requests at the moment;"
            " - the hostname cannot be resolved by your DNS"
        ),
        NETWORK,
    ),
    "poetry.option": ('The option "--nonsense" does not exist', NEEDS),
    "poetry.python": (
        (
            "Poetry was unable to find a compatible version. If you have one, you can"
            ' explicitly use it via the "env use" command.'
        ),
        None,
    ),
    "uv.conflict": (
        (
            "error: No solution found when resolving dependencies; cause: Because there"
            " is no version of idna==99 and your project depends on idna==99, we can"
            " conclude that your project's requirements are unsatisfiable."
        ),
        None,
    ),
    "uv.offline": (
        (
            "error: Failed to fetch: <URL>; cause: error sending request for url"
            " (<URL>); cause: client error (Connect);"
            " cause: tunnel error: failed to create underlying connection"
        ),
        NETWORK,
    ),
    "uv.option": (
        (
            "error: unexpected argument '--nonsense' found;"
            " tip: a similar argument exists: '--no-sources'"
        ),
        NEEDS,
    ),
}


class TestLastWords:
    @pytest.mark.parametrize("name", WORDS)
    def test_real(self, name):
        """
        What decides is quoted, and what to do about it is said.
        """
        output = (DATA / f"{name}.txt").read_bytes()

        assert WORDS[name] == (
            last_words(output),
            advice(output, is_late=False, needs=NEEDS),
        )

    def test_every_file_is_used(self):
        """
        No output lies there without being looked at.
        """
        assert set(WORDS) == {path.name[:-4] for path in DATA.iterdir()}

    def test_late(self):
        """
        What did not come to an end is most often a network that does not answer.
        """
        assert advice(b"", is_late=True, needs=NEEDS).startswith(NETWORK)

    @pytest.mark.parametrize(
        "output",
        [b"Continue? [y/N]: Aborted!\nAborted!", b"EOFError: EOF when reading"],
    )
    def test_question(self, output):
        """
        Who asks and hears nothing has to be answered once.
        """
        assert advice(output, is_late=False, needs=NEEDS).startswith("it asked")

    def test_only_a_traceback(self):
        """
        A traceback that nothing stands before ends in what it is about.
        """
        output = b'Traceback (most recent call last):\n  File "x"\nKeyError: 1\n'

        assert "KeyError: 1" == last_words(output)

    def test_tried_again(self):
        """
        A request that did not get through at first is no reason to look there.
        """
        output = (
            b"npm http fetch GET https://a.example/x attempt 1 failed with ECONNRESET\n"
            b"npm http fetch GET 200 https://a.example/x 318ms (cache miss)\n"
            b"npm error code ERESOLVE\nnpm error ERESOLVE could not resolve\n"
        )

        assert "error: code ERESOLVE; ERESOLVE could not resolve" == last_words(output)
        assert None is advice(output, is_late=False, needs=NEEDS)

    def test_no_port(self):
        """
        A password that was taken for a port is not quoted.
        """
        output = b"ValueError: Port could not be cast to integer value as 's3cr'"

        assert "could not be cast to integer value as '...'" in last_words(output)

    def test_drawn(self):
        """
        Neither what was drawn over is quoted, nor how it was drawn.
        """
        output = b"10 %\r50 %\r\x1b[31mgone wrong\x1b[0m\r\n\x1b]0;title\x07"

        assert "gone wrong" == last_words(output)

    def test_nothing(self):
        """
        Nothing said is nothing quoted.
        """
        assert None is last_words(b" \n")


class TestMessage:
    def test_todo(self, environment, python):
        """
        The failure's one line ends with what to do.
        """
        code = "print('no such option: --x'); raise SystemExit(2)"
        command = Command(python(code), needs="install x 2")

        with pytest.raises(ResolverError) as info:
            command(environment, b"")

        assert info.value.message.endswith(
            "exit status 2: no such option: --x; install x 2"
        )

    def test_command(self, environment, python):
        """
        What a command of the user's own needs is not known.
        """
        code = "print('no such option: --x'); raise SystemExit(2)"

        with pytest.raises(ResolverError) as info:
            Command(python(code))(environment, b"")

        assert info.value.message.endswith("exit status 2: no such option: --x")


def test_python():
    """
    The name of an exception is where trouble begins.
    """
    output = (
        b"Collecting: failed\n\nSomeHTTPError: 000 FAILED for <https://a.example/>\n"
    )

    assert "SomeHTTPError: 000 FAILED for <<URL>>" == last_words(output)


def test_cross():
    """
    So is a cross.
    """
    output = "Using CPython\n  \u00d7 No solution found:\n  Because of x\n".encode()

    assert "\u00d7 No solution found:; Because of x" == last_words(output)


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
    assert NEEDS == advice(words.encode(), is_late=False, needs=NEEDS)


@pytest.mark.parametrize(
    "words",
    ["error: no route to host", "cc: error: unrecognized command-line option '-x'", ""],
)
def test_known(words):
    """
    Other troubles are not that.
    """
    assert NEEDS != advice(words.encode(), is_late=False, needs=NEEDS)
