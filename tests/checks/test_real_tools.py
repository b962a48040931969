"""
The recipes find what the tools themselves report: real tools, real registries.

Each directory of real/ is an environment with pins of 2023; the hosts in it are
put in here. Which tools there are is said by `nox -s network`.
"""

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest

from upgrade_state import StateStore, checks
from upgrade_state.checks import _sandbox

pytestmark = pytest.mark.network

needs_sandbox = pytest.mark.skipif(
    not shutil.which("bwrap")
    or subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "true"], check=False
    ).returncode,
    reason="no bwrap here, or it may not make namespaces",
)

REAL = Path(__file__).parent / "real"

# Where the tools may keep what they have downloaded, and what they know of
# interpreters. Everything else they leave is garbage.
CACHES = (
    ".cache/",
    ".npm/_cacache/",
    ".npm/_update-notifier-last-checked",
    # pip tells the index which rustc there is, and rustup is asked.
    ".rustup/",
    ".local/share/mise/migrations/",
)


def index():
    """
    The index that pip is configured for: its default is written down nowhere here.
    """
    default = import_module("pip._internal.models.index").PyPI.simple_url
    return os.environ.get("PIP_INDEX_URL", default).rstrip("/")


# What the tools would stumble over, or follow, above the scratch directory.
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
    Put a tool in front of everything else and return its path, or skip.
    """

    def find(command):
        places = os.environ.get("UPGRADE_STATE_TOOLS", "")
        # npm and mise come from elsewhere.
        found = shutil.which(command, path=places) or shutil.which(command)
        if found is None:
            pytest.skip(f"no {command} here")
        path = os.pathsep.join([os.path.dirname(found), os.environ["PATH"]])
        monkeypatch.setenv("PATH", path)
        return found

    return find


@pytest.fixture(name="dated")
def _dated(tmp_path):
    """
    Copy a dated environment, as often as it is asked for.
    """

    def copy(name, place):
        target = tmp_path / place
        shutil.copytree(REAL / name, target)
        for path in target.iterdir():
            text = path.read_text().replace("https://index.example/simple", index())
            path.write_text(text)
        return target

    return copy


def contents(directory):
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def words(directory, *argv, **variables):
    """
    What a tool prints, on stdout or stderr.
    """
    environment = {
        name: value
        for name, value in (os.environ | {"NO_COLOR": "1"} | variables).items()
        if name not in {"VIRTUAL_ENV", "FORCE_COLOR"}
    }
    done = subprocess.run(
        argv,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stdout


# What the tools report of a copy, as (name, old version, new version).


def uv(directory):
    said = words(directory, "uv", "lock", "--upgrade", "--dry-run")
    yield from re.findall(r"^Update (\S+) v(\S+) -> v(\S+)$", said, re.MULTILINE)
    for name, new in re.findall(r"^Add (\S+) v(\S+)$", said, re.MULTILINE):
        yield name, "", new
    for name, old in re.findall(r"^Remove (\S+) v(\S+)$", said, re.MULTILINE):
        yield name, old, ""


def poetry(directory):
    here = {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}
    for argv in (["lock"], ["install", "--no-root"]):
        words(directory, "poetry", *argv, "--no-interaction", **here)
    argv = ["update", "--dry-run", "--no-interaction", "--no-ansi"]
    said = words(directory, "poetry", *argv, **here)
    yield from re.findall(r"- Updating (\S+) \((\S+) -> (\S+)\)", said)
    for name, new in re.findall(r"- Installing (\S+) \((\S+)\)", said):
        yield name, "", new
    for name, old in re.findall(r"- Removing (\S+) \((\S+)\)", said):
        yield name, old, ""


def pdm(directory):
    here = {"PDM_USE_VENV": "0", "PDM_CHECK_UPDATE": "0"}
    words(directory, "pdm", "sync", "--no-self", **here)
    argv = ["update", "--dry-run", "--no-sync"]
    said = words(directory, "pdm", *argv, **here)
    parts = re.split(r"^Packages to (\w+):$", said, flags=re.MULTILINE)
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
    words(directory, "pipenv", "sync", **here)
    said = words(directory, "pipenv", "update", "--outdated", **here)
    yield from re.findall(
        r"Package '(\S+)' out-of-date: '(\S+)' installed,\s+'(\S+)' available", said
    )


def pip_report(directory, *wishes):
    argv = ["install", "--dry-run", "--ignore-installed", "--quiet"]
    words(directory, "pip", *argv, "--report=report.json", *wishes)
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
    said = words(directory, "pip-compile", *argv)
    for name, new in re.findall(r"^([\w-]+)==(\S+)$", said, re.MULTILINE):
        yield name, None, new


def npm(directory):
    words(directory, "npm", "ci", "--ignore-scripts", "--no-audit")
    said = words(directory, "npm", "update", "--dry-run", "--json", "--no-audit")
    for change in json.loads(said[said.index("{") :])["change"]:
        old, new = change["from"], change["to"]
        yield new["name"], old["version"], new["version"]


def mise(directory):
    here = {"MISE_LOCKFILE": "1", "MISE_CEILING_PATHS": str(directory.parent)}
    said = words(directory, "mise", "lock", "--bump", "--dry-run", "--json", **here)
    listed = re.search(r"^\[.*^\]", said, re.MULTILINE | re.DOTALL)
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


# What not every tool reports: what is added, what is removed, the old version.
SILENT_ON = {
    "pdm": {"removed"},
    "pipenv": {"added", "removed"},
    "pip": {"removed", "old"},
    "pip-project": {"removed", "old"},
    "pip-tools": {"removed", "old"},
}


def rows_of(environment, silent_on):
    """
    What a check has found, as a tool reports it.
    """
    return {
        (u.name, None if "old" in silent_on else "".join(u.old), "".join(u.new))
        for u in environment.upgrades()
        if u.kind not in silent_on
    }


@pytest.fixture(name="proxy")
def _proxy(monkeypatch):
    """
    Send the tools to a proxy.
    """

    def use(port):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
            monkeypatch.setenv(variable.lower(), f"http://127.0.0.1:{port}")
        for variable in ("PIP_RETRIES", "UV_HTTP_RETRIES", "npm_config_fetch_retries"):
            monkeypatch.setenv(variable, "1")

    return use


@pytest.fixture(name="checked")
def _checked(tool, dated, scratches):
    """
    Check a dated environment; nothing but the record may come of it.
    """

    def check(recipe, place):
        tool(recipe.argv[0])
        shop = dated(recipe.name.removesuffix("+sandbox"), place)
        before = contents(shop)
        environment = StateStore().environment(shop, recipe.lockfile)

        resolver = recipe.resolver(environment)
        outcome = checks.check(environment, resolver, recipe=recipe.name)

        assert checks.Outcome("checked") == outcome
        assert before == contents(shop)
        assert [] == list(scratches.glob("upgrade-state-*"))
        return environment

    return check


class Registry(BaseHTTPRequestHandler):
    """
    A registry with one version of each package, which nobody may keep for long.
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
    return checks.check(environment, recipe.resolver(environment), recipe="npm")


class TestRealTools:
    @pytest.mark.parametrize("name", REPORTS)
    def test_rows(self, name, checked, dated, tmp_path):
        """
        The rows are those that the tool reports, and nothing else has changed.
        """
        environment = checked(checks.RECIPES[name], "shop")

        home = contents(tmp_path / "home") if (tmp_path / "home").exists() else {}
        assert [] == [path for path in home if not path.startswith(CACHES)]
        assert [] == [path for path in home if path.endswith("pyvenv.cfg")]
        told = set(REPORTS[name](dated(name, "copy")))
        assert told
        assert told == rows_of(environment, SILENT_ON.get(name, ()))

    @needs_sandbox
    @pytest.mark.parametrize("name", REPORTS)
    def test_sandbox(self, name, tool, checked, tmp_path):
        """
        In a sandbox they find the same, and leave nothing in the home.
        """
        if _sandbox.is_hidden(tool(checks.RECIPES[name].argv[0])):
            pytest.skip("a sandbox hides where the tool is")
        (tmp_path / "home").mkdir()
        inside = checked(checks.RECIPES[name].in_sandbox(), "inside")

        assert [] == list((tmp_path / "home").iterdir())
        outside = checked(checks.RECIPES[name], "outside")
        assert outside.upgrades() == inside.upgrades()

    @pytest.mark.parametrize("name", REPORTS)
    def test_planted(self, name, checked, scratches):
        """
        What somebody puts above the scratch directory takes no part.
        """
        before = checked(checks.RECIPES[name], "before").upgrades()
        for planted, text in PLANTED.items():
            (scratches / planted).write_text(text)

        after = checked(checks.RECIPES[name], "after").upgrades()

        assert before == after

    @pytest.mark.parametrize("name", REPORTS)
    def test_no_network(self, name, tool, dated, scratches, proxy):
        """
        Without a network there is one line, which is remembered.
        """
        recipe = checks.RECIPES[name]
        tool(recipe.argv[0])
        proxy(9)
        shop = dated(name, "shop")
        before = contents(shop)
        environment = StateStore().environment(shop, recipe.lockfile)

        outcome = checks.check(environment, recipe.resolver(environment), recipe=name)

        assert "failed" == outcome.state
        message = environment.look().information.failure.message
        assert message == outcome.error.message
        # Pipenv does not tell what pip has told it.
        assert "check the network and the proxy" in message or name == "pipenv"
        assert 1 == len(message.splitlines())
        assert before == contents(shop)
        assert [] == list(scratches.iterdir())

    def test_registry_gone(self, tool, tmp_path):
        """
        What npm has in its cache is no answer, and least once the registry is gone.
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
        assert (
            "'npm' was offline and answered from its cache;"
            " check the network and the proxy"
        ) == after.error.message

    @pytest.mark.parametrize("name", REPORTS)
    def test_proxy_that_hangs(self, name, tool, dated, scratches, proxy):
        """
        A proxy that takes calls and never answers has its time, and no more.
        """
        recipe = checks.RECIPES[name]
        tool(recipe.argv[0])
        environment = StateStore().environment(dated(name, "shop"), recipe.lockfile)
        limit = dt.timedelta(seconds=8)

        with socket.create_server(("127.0.0.1", 0)) as deaf:
            proxy(deaf.getsockname()[1])
            resolver = recipe.resolver(environment, timeout=limit)
            outcome = checks.check(environment, resolver, recipe=name)

        assert "did not end within 8 s" in outcome.error.message
        assert "check the network and the proxy" in outcome.error.message
        assert [] == list(scratches.iterdir())
