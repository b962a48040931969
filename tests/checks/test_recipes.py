"""
Checks with recipes, and a stand-in for uv.
"""

import datetime as dt

import pytest

from upgrade_state import Consent, StateStore, checks
from upgrade_state.checks import RECIPES
from upgrade_state.exceptions import ResolverError

PROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
"""

# A tool that does not end before the time limit.
HANG = ": > $UPGRADE_STATE_ENV/hangs; exec sleep 600"

NEEDS = "install uv 0.4 or newer"
NETWORK = "check the network and the proxy"
QUESTION = "it asked a question: run it once yourself, and answer"

# Scripts that stand in for uv, and the failures, after "'uv' ".
FAILURES = {
    "rm uv.lock": f"left no 'uv.lock'; {NEEDS}",
    "rm uv.lock; mkdir uv.lock; echo done": f"left no 'uv.lock': done; {NEEDS}",
    "read x || { echo EOF when reading a line; exit 1; }": (
        f"failed with exit status 1: EOF when reading a line; {QUESTION}"
    ),
    "echo 'cannot open /dev/tty'; exit 2": (
        f"failed with exit status 2: cannot open /dev/tty; {QUESTION}"
    ),
    f"printf 'Password: '; {HANG}": f"did not end within 2 s: Password:; {QUESTION}",
    f"echo Resolving; {HANG}": (
        f"did not end within 2 s: Resolving; {NETWORK}, or give it more time"
        " (--timeout)"
    ),
    "echo \"error: unexpected argument '--upgrade' found\"; exit 2": (
        f"failed with exit status 2: error: unexpected argument '--upgrade' found;"
        f" {NEEDS}"
    ),
    "echo 'dns error: name resolution'; exit 2": (
        f"failed with exit status 2: dns error: name resolution; {NETWORK}"
    ),
    "echo 'error: No space left on device'; exit 2": (
        "failed with exit status 2: error: No space left on device;"
        " free some space, for example in its cache"
    ),
    "echo 'error: no distribution at file:///tmp/x/lib'; exit 1": (
        "failed with exit status 1: error: no distribution at <URL>;"
        " '../lib' is outside of the directory and is not copied"
    ),
}

# Lockfiles that stand-ins write, and the failures.
LOCKFILES = {
    "": "empty; see what wrote it",
    "version = 99": "unsupported version 99; a newer upgrade-state may read it",
}


ANOTHER_WAY = "requirements.in says that it was made in another way"


def chosen(directory):
    """
    Return the name of the recipe for pylock.toml, or why there is none.
    """
    try:
        return checks.recipe_for("pylock.toml", str(directory)).name
    except ResolverError as error:
        return error.message


class TestRecipeFor:
    @pytest.mark.parametrize(
        ("content", "name"),
        [
            (None, "pip-project"),
            ('created-by = "pip"\npath = "."', "pip-project"),
            ('created-by = "pip"\npath = "./lib"', "there is no requirements.in"),
            ('created-by = "uv"', "it was not made by a known command of uv or pip"),
            ("too large to be read" * 3, "pip-project"),  # the check reports it
        ],
    )
    def test_mark(self, directory, fill, monkeypatch, content, name):
        """
        A recipe with a mark is not for a lockfile of another tool.
        """
        monkeypatch.setattr("upgrade_state._lockfile.MAX_SIZE", 40)
        fill(directory, {"pyproject.toml": PROJECT})
        if content is not None:
            fill(directory, {"pylock.toml": content})

        assert name == chosen(directory)

    @pytest.mark.parametrize(
        ("manifest", "name"),
        [
            ("requirements.in", "pip"),
            ("pyproject.toml", "pip-project"),
            ("other", "there is no requirements.in"),
        ],
    )
    def test_manifest(self, directory, fill, manifest, name):
        """
        The first recipe whose manifest exists is chosen.
        """
        fill(directory, {manifest: ""})

        assert name == chosen(directory)

    @pytest.mark.parametrize(
        ("wishes", "name"),
        [
            ("attrs\n-r ./x.in\n./lib\n.. # .\n", "pip-project"),
            ("attrs\n-e .\n", ANOTHER_WAY),
            ("-e.[dev]  # the project\n", ANOTHER_WAY),
            ("--editable=.\n", ANOTHER_WAY),
            ("\n ./[dev]\n", ANOTHER_WAY),
        ],
    )
    def test_both_manifests(self, directory, fill, wishes, name):
        """
        If the requirements name the project, its lockfile may be made of either.
        """
        fill(directory, {"requirements.in": wishes, "pyproject.toml": ""})
        fill(directory, {"pylock.toml": 'created-by = "pip"\npath = "."'})

        assert name == chosen(directory)

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("pyproject.toml", "[tool.hatch]\nlock-envs = true\n"),
            ("pyproject.toml", "[tool.hatch.envs.default]\nlocked = true\n"),
            ("hatch.toml", "[envs]\ndefault = { locked=true }\n"),
        ],
    )
    def test_hatch(self, directory, fill, name, settings):
        """
        A lockfile that Hatch lets pip write has no recipe.
        """
        fill(
            directory,
            {
                "requirements.in": "",
                "pylock.toml": 'created-by = "pip"',
                name: settings,
            },
        )

        assert f"{name} says that it was made in another way" == chosen(directory)


class TestWheels:
    @pytest.mark.parametrize(
        ("path", "problem"),
        [
            ("wheels", None),
            ("../wheels", "pyproject.toml names '../wheels', which is not in the"),
            ("link", "pyproject.toml names 'link', which is not in the project or"),
            ("gone", "pyproject.toml names 'gone', which is not in the project or"),
        ],
    )
    def test_pdm(self, directory, fill, tool, path, problem):
        """
        PDM is not run without the wheels, for which it would take other ones.
        """
        source = 'type = "find_links"\nurl = "file:///${{PROJECT_ROOT}}/{}"\n'
        source = "[[tool.pdm.source]]\n" + source.format(path)
        (directory / ".gitignore").write_text("wheels")
        wheels = {f"{place}/x-1.whl": "" for place in ("wheels", "../wheels")}
        fill(directory, {**wheels, "pyproject.toml": source, "pdm.lock": ""})
        (directory / "link").symlink_to("../wheels")
        tool("pdm", "ls wheels/x-1.whl >> pdm.lock")
        environment = StateStore().environment(directory, "pdm.lock")

        outcome = checks.check(environment, RECIPES["pdm"].resolver(environment))

        if problem is None:
            assert checks.Outcome("checked") == outcome
        else:
            assert outcome.error.message.startswith(problem)


class TestStandIn:
    @pytest.fixture(autouse=True)
    def _manifest(self, directory, fill):
        wish = '[tool.uv.sources]\nlibp = { path = "../lib", editable = true }\n'
        files = {"pyproject.toml": PROJECT + wish, "../lib/pyproject.toml": ""}
        fill(directory, files)

    @pytest.fixture
    def failure_of(self, environment, directory, tool, late):
        """
        Check with a script in place of uv, and return the recorded failure.
        """

        def run(script):
            late((directory / "hangs").exists)
            tool("uv", script)
            limit = dt.timedelta(seconds=2)
            resolver = checks.RECIPES["uv"].resolver(environment, timeout=limit)
            before = (directory / "uv.lock").read_bytes()
            outcome = checks.check(environment, resolver, consent=Consent("uv"))
            assert before == (directory / "uv.lock").read_bytes()
            message = environment.look().information.failure.message
            assert message == outcome.error.message
            return message

        return run

    def test_upgrade(self, environment, directory, fill, tool, monkeypatch):
        """
        The command has the files of the recipe, and no variables of a shell.
        """
        fill(directory, {"uv.toml": "", "x.py": "", "y": ""})
        for name in ("VIRTUAL_ENV", "UV_FROZEN", "UV_PROJECT", "UV_INDEX"):
            monkeypatch.setenv(name, "x")
        tool(
            "uv",
            'exec > "$UPGRADE_STATE_ENV/seen"; echo "$@"; env | grep -o "^.*UV_[^=]*"'
            " | sort; env | grep VIRTUAL; ls; sed -i s/24.2.0/24.3.0/ uv.lock",
        )
        resolver = checks.RECIPES["uv"].resolver(environment, copies=["y"])

        assert checks.Outcome("checked") == checks.check(
            environment, resolver, consent=Consent("uv")
        )
        assert (directory / "seen").read_text().split() == [
            *("lock", "--upgrade", "--no-progress"),
            *("UV_INDEX", "UV_NO_PROGRESS", "UV_PYTHON_DOWNLOADS"),
            *("pyproject.toml", "uv.lock", "uv.toml", "x.py", "y"),
        ]
        assert ["24.3.0"] == [v for u in environment.upgrades() for v in u.new]

    @pytest.mark.parametrize("script", FAILURES)
    def test_failure(self, failure_of, script):
        """
        A failure is recorded in one line with advice; the environment stays as it is.
        """
        assert f"'uv' {FAILURES[script]}" == failure_of(script)

    @pytest.mark.parametrize("content", LOCKFILES)
    def test_lockfile(self, failure_of, content):
        """
        A lockfile that cannot be read is a failure.
        """
        message = f"The new lockfile is not a uv lockfile: {LOCKFILES[content]}"

        assert message == failure_of(f"printf '{content}' > uv.lock")
