"""
The recipes find the upgrades that the tools report: real tools, real registries.

Each directory of real/ is an environment with versions of 2023; the host of the
index is set at run time. `nox -s network` installs the tools.
"""

import datetime as dt
import json
import os
import re
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bubblewrap import needs_sandbox
from by_hand import contents, index, output_of, use_tool
from upgrade_state import Consent, StateStore, checks
from upgrade_state.checks import _sandbox

pytestmark = pytest.mark.network

NETWORK = "check the network and the proxy"

REAL = Path(__file__).parent / "real"

# Caches of downloads and interpreters. A tool may leave no other file.
CACHES = (
    ".cache/",
    ".npm/_cacache/",
    ".npm/_update-notifier-last-checked",
    # pip tells the index the version of rustc, which rustup starts.
    ".rustup/",
    ".local/share/mise/migrations/",
)


# Files above the scratch directory that the tools would read.
PLANTED = {
    "package.json": json.dumps({"workspaces": ["*/environment"]}),
    ".npmrc": "registry=https://index.example/\n",
    "uv.toml": 'exclude-newer = "2010-01-01T00:00:00Z"\n',
    "mise.toml": '[tools]\n"npm:is-odd" = "{{ exec(command=\'false\') }}"\n',
    "pyproject.toml": """\
[tool.uv]
exclude-newer = "2010-01-01T00:00:00Z"
[tool.uv.workspace]
members = ["*/environment"]
[tool.pip-tools]
no-such-option = true
""",
} | dict.fromkeys(
    (
        ".env",
        ".pdm.toml",
        ".pip-tools.toml",
        ".python-version",
        ".tool-versions",
        "Pipfile",
        "pdm.toml",
        "pip.conf",
        "poetry.toml",
        "requirements.in",
        "setup.cfg",
        "setup.py",
    ),
    "raise SystemExit('planted')",
)


@pytest.fixture(name="tool")
def _tool(monkeypatch):
    """
    Put a tool in front of the PATH and return its path, or skip the test.
    """
    return lambda command: use_tool(monkeypatch, command)


@pytest.fixture(name="dated")
def _dated(tmp_path):
    """
    Copy an environment with old versions.
    """

    def copy(name, place):
        target = tmp_path / place
        shutil.copytree(REAL / name, target)
        for path in target.iterdir():
            text = path.read_text().replace("https://index.example/simple", index())
            path.write_text(text)
        return target

    return copy


# The reports of the tools for a copy, as (name, old version, new version).


def uv(directory):
    output = output_of(directory, "uv", "lock", "--upgrade", "--dry-run")
    yield from re.findall(r"^Update (\S+) v(\S+) -> v(\S+)$", output, re.MULTILINE)
    for name, new in re.findall(r"^Add (\S+) v(\S+)$", output, re.MULTILINE):
        yield name, "", new
    for name, old in re.findall(r"^Remove (\S+) v(\S+)$", output, re.MULTILINE):
        yield name, old, ""


def poetry(directory):
    here = {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}
    for argv in (["lock"], ["install", "--no-root"]):
        output_of(directory, "poetry", *argv, "--no-interaction", **here)
    argv = ["update", "--dry-run", "--no-interaction", "--no-ansi"]
    output = output_of(directory, "poetry", *argv, **here)
    yield from re.findall(r"- Updating (\S+) \((\S+) -> (\S+)\)", output)
    for name, new in re.findall(r"- Installing (\S+) \((\S+)\)", output):
        yield name, "", new
    for name, old in re.findall(r"- Removing (\S+) \((\S+)\)", output):
        yield name, old, ""


def pdm(directory):
    here = {"PDM_USE_VENV": "0", "PDM_CHECK_UPDATE": "0"}
    output_of(directory, "pdm", "sync", "--no-self", **here)
    argv = ["update", "--dry-run", "--no-sync"]
    output = output_of(directory, "pdm", *argv, **here)
    parts = re.split(r"^Packages to (\w+):$", output, flags=re.MULTILINE)
    for verb, listed in zip(parts[1::2], parts[2::2], strict=True):
        found = re.findall(r"^ +- (\S+) (\S+)(?: -> (\S+))?$", listed, re.MULTILINE)
        for name, first, second in found:
            yield {
                "update": (name, first, second),
                "add": (name, "", first),
                "remove": (name, first, ""),
            }[verb]


def pipenv(directory):
    here = {"PIPENV_VENV_IN_PROJECT": "1"}
    output_of(directory, "pipenv", "sync", **here)
    output = output_of(directory, "pipenv", "update", "--outdated", **here)
    yield from re.findall(
        r"Package '(\S+)' out-of-date: '(\S+)' installed,\s+'(\S+)' available", output
    )


def pip_report(directory, *wishes):
    argv = ["install", "--dry-run", "--ignore-installed", "--quiet"]
    output_of(directory, "pip", *argv, "--report=report.json", *wishes)
    for entry in json.loads((directory / "report.json").read_text())["install"]:
        if "dir_info" not in entry["download_info"]:
            name = entry["metadata"]["name"].replace("_", "-")
            yield name, None, entry["metadata"]["version"]


def pip(directory):
    return pip_report(directory, "--requirement=requirements.in")


def pip_project(directory):
    return pip_report(directory, ".")


def pip_tools(directory):
    argv = ["--upgrade", "--dry-run", "requirements.in"]
    output = output_of(directory, "pip-compile", *argv)
    for name, new in re.findall(r"^([\w-]+)==(\S+)$", output, re.MULTILINE):
        yield name, None, new


def npm(directory):
    output_of(directory, "npm", "ci", "--ignore-scripts", "--no-audit")
    output = output_of(directory, "npm", "update", "--dry-run", "--json", "--no-audit")
    for change in json.loads(output[output.index("{") :])["change"]:
        old, new = change["from"], change["to"]
        yield new["name"], old["version"], new["version"]


def mise(directory):
    here = {"MISE_LOCKFILE": "1", "MISE_CEILING_PATHS": str(directory.parent)}
    argv = ["mise", "lock", "--bump", "--dry-run", "--json"]
    output = output_of(directory, *argv, **here)
    listed = re.search(r"^\[.*^\]", output, re.MULTILINE | re.DOTALL)
    for change in json.loads(listed[0]):
        yield change["name"], *change["old_versions"], *change["new_versions"]


REPORTS = {
    "uv": uv,
    "poetry": poetry,
    "pdm": pdm,
    "pipenv": pipenv,
    "pip": pip,
    "pip-project": pip_project,
    "pip-tools": pip_tools,
    "npm": npm,
    "mise": mise,
}


# Facts that a tool does not report.
SILENT_ON = {
    "pdm": {"removed"},
    "pipenv": {"added", "removed"},
    "pip": {"removed", "old"},
    "pip-project": {"removed", "old"},
    "pip-tools": {"removed", "old"},
}


def rows_of(environment, silent_on):
    """
    Return the upgrades that a check has found, as a tool reports them.
    """
    return {
        (u.name, None if "old" in silent_on else "".join(u.old), "".join(u.new))
        for u in environment.upgrades()
        if u.kind not in silent_on
    }


@pytest.fixture(name="proxy")
def _proxy(monkeypatch):
    """
    Set the proxy of the tools.
    """

    def use(port):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
            monkeypatch.setenv(variable.lower(), f"http://127.0.0.1:{port}")
        for variable in ("PIP_RETRIES", "UV_HTTP_RETRIES", "npm_config_fetch_retries"):
            monkeypatch.setenv(variable, "1")

    return use


@pytest.fixture(name="check")
def _check(tool, dated, scratches):
    """
    Check a copy of an environment, which must not change.
    """

    def check(recipe, place, **options):
        tool(recipe.argv[0])
        shop = dated(recipe.name.removesuffix("+sandbox"), place)
        before = contents(shop)
        lockfile = recipe.lockfile.replace("*", "requirements")
        environment = StateStore().environment(shop, lockfile)

        resolver = recipe.resolver(environment, **options)
        outcome = checks.check(environment, resolver, consent=Consent(recipe.name))

        assert before == contents(shop)
        assert [] == list(scratches.glob("upgrade-state-*"))
        return outcome, environment

    return check


@pytest.fixture(name="checked")
def _checked(check):
    """
    Check a copy of an environment with success.
    """

    def run(recipe, place):
        outcome, environment = check(recipe, place)
        assert checks.Outcome("checked") == outcome
        return environment

    return run


class Registry(BaseHTTPRequestHandler):
    """
    A registry with one version of each package, and answers that expire at once.
    """

    def do_GET(self):
        name = self.path.strip("/")
        facts = {"name": name, "version": "1.0.0"}
        facts["dist"] = {"tarball": f"http://{self.headers['Host']}/{name}.tgz"}
        versions = {"1.0.0": facts}
        answer = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": versions}
        self.send_response(200)
        self.send_header("Cache-Control", "public, max-age=0")
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


def check_npm(directory):
    environment = StateStore().environment(directory, "package-lock.json")
    recipe = checks.RECIPES["npm"]
    return checks.check(
        environment,
        recipe.resolver(environment),
        consent=Consent("npm"),
        without_lockfile=True,
    )


class TestRealTools:
    @pytest.mark.parametrize("name", REPORTS)
    def test_rows(self, name, checked, dated, tmp_path):
        """
        The rows are those that the tool reports, and only caches are written.
        """
        environment = checked(checks.RECIPES[name], "shop")

        home = contents(tmp_path / "home") if (tmp_path / "home").exists() else {}
        assert [] == [path for path in home if not path.startswith(CACHES)]
        assert [] == [path for path in home if path.endswith("pyvenv.cfg")]
        reported = set(REPORTS[name](dated(name, "copy")))
        assert reported
        assert reported == rows_of(environment, SILENT_ON.get(name, ()))

    @pytest.mark.parametrize("name", REPORTS)
    def test_version(self, name, use_recipe, dated):
        """
        The tool prints its version, so two copies of a project ask one question.
        """
        use_recipe(name)
        recipe, questions = checks.RECIPES[name], set()
        for place in ("one", "two"):
            directory = dated(name, place)
            lockfile = next(n for n in os.listdir(directory) if recipe.fits(n))
            environment = StateStore().environment(directory, lockfile)
            command = recipe.resolver(environment)
            with command.prepared(environment, b"old") as prepared:
                questions.add(prepared.question(None))

        assert 1 == len(questions)

    def test_run_by(self, tool, dated, monkeypatch):
        """
        A manager that is not on the PATH runs its recipe as a module of its Python.
        """
        script = Path(tool("poetry")).read_text(encoding="utf-8")
        shop = dated("poetry", "shop")
        monkeypatch.setenv("PATH", os.defpath)
        argv = [script.splitlines()[0].removeprefix("#!"), "-m", "poetry"]
        recipe = checks.RECIPES["poetry"].run_by(argv)
        environment = StateStore().environment(shop, "poetry.lock")

        outcome = checks.check(environment, recipe.resolver(environment))

        assert checks.Outcome("checked") == outcome
        assert environment.upgrades()

    @needs_sandbox
    @pytest.mark.parametrize("name", REPORTS)
    def test_sandbox(self, name, tool, checked, tmp_path):
        """
        A check in a sandbox finds the same, and leaves no file in the home.
        """
        if _sandbox.is_hidden(tool(checks.RECIPES[name].argv[0])):
            pytest.skip("a sandbox hides the tool")
        (tmp_path / "home").mkdir()
        inside = checked(checks.RECIPES[name].in_sandbox(), "inside")

        assert [] == list((tmp_path / "home").iterdir())
        outside = checked(checks.RECIPES[name], "outside")
        assert outside.upgrades() == inside.upgrades()

    @pytest.mark.parametrize("name", REPORTS)
    def test_planted(self, name, checked, scratches):
        """
        Files of another user above the scratch directory take no part.
        """
        before = checked(checks.RECIPES[name], "before").upgrades()
        for planted, text in PLANTED.items():
            (scratches / planted).write_text(text)

        after = checked(checks.RECIPES[name], "after").upgrades()

        assert before == after

    @pytest.mark.parametrize("name", REPORTS)
    def test_no_network(self, name, check, proxy):
        """
        Without a network the failure is recorded in one line.
        """
        proxy(9)
        outcome, environment = check(checks.RECIPES[name], "shop")

        assert "failed" == outcome.state
        message = environment.look().information.failure.message
        assert message == outcome.error.message
        # Pipenv does not pass on the reason of pip.
        assert NETWORK in message or name == "pipenv"
        assert 1 == len(message.splitlines())

    def test_registry_gone(self, tool, tmp_path):
        """
        The cache of npm is no answer, least of all if the registry is gone.
        """
        tool("npm")
        (tmp_path / "shop").mkdir()
        wishes = {"name": "shop", "dependencies": {"idna": "^1.0.0"}}
        (tmp_path / "shop" / "package.json").write_text(json.dumps(wishes))
        with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as registry:
            place = f"http://127.0.0.1:{registry.server_port}/"
            settings = f"registry={place}\nprefer-offline=true\noffline=true\n"
            (tmp_path / "shop" / ".npmrc").write_text(settings)
            threading.Thread(target=registry.serve_forever).start()
            before = [check_npm(tmp_path / "shop") for _ in range(2)]
            registry.shutdown()
        after = check_npm(tmp_path / "shop")

        assert [checks.Outcome("checked")] * 2 == before
        message = f"'npm' was offline and answered from its cache; {NETWORK}"
        assert message == after.error.message

    @pytest.mark.parametrize("name", REPORTS)
    def test_proxy_that_hangs(self, name, check, proxy):
        """
        A proxy that accepts connections and never answers makes a command late.
        """
        limit = dt.timedelta(seconds=8)
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            proxy(deaf.getsockname()[1])
            outcome, _ = check(checks.RECIPES[name], "shop", timeout=limit)

        assert "did not end within 8 s" in outcome.error.message
        assert NETWORK in outcome.error.message
