"""
Run the real tools by hand, as a user does: the oracle of the tests of the recipes.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from upgrade_state import StateStore, checks, lockfiles

# The variables that would change the answer of a tool, or its way of printing.
_UNSET = {"VIRTUAL_ENV", "FORCE_COLOR"}

# Downloads are shared by the tests of a session; every test has a home of its own.
_CACHES = (
    "UV_CACHE_DIR",
    "PIP_CACHE_DIR",
    "PDM_CACHE_DIR",
    "POETRY_CACHE_DIR",
    "PIPENV_CACHE_DIR",
    "VIRTUALENV_OVERRIDE_APP_DATA",
    "npm_config_cache",
)

# A lockfile for each pattern.
_LOCKFILES = {
    "*.txt": "requirements.txt",
    "*.py.lock": "shop.py.lock",
    "pylock*.toml": "pylock.toml",
}

# In a file of a project: its text at first, and later.
_CHOICE = r"<([^<>|]*)\|([^<>|]*)>"

# What a user types to upgrade the lockfile, and its variables.
COMMANDS = {
    "uv": ("uv lock --upgrade", {}),
    "pip": ("pip lock -r requirements.in", {}),
    "pip-project": ("pip lock .", {}),
    "pip-tools": ("pip-compile --upgrade pyproject.toml", {}),
    "uv-pip": (
        "uv pip compile --upgrade --universal pyproject.toml -o requirements.txt",
        {},
    ),
    "uv-script": ("uv lock --upgrade --script shop.py", {}),
    "uv-pylock": ("uv pip compile --upgrade pyproject.toml -o pylock.toml", {}),
    "pipenv": ("pipenv lock", {"PIPENV_VENV_IN_PROJECT": "1"}),
    "pdm": ("pdm lock", {"PDM_USE_VENV": "0", "PDM_CHECK_UPDATE": "0"}),
    "poetry": (
        "poetry update --lock --no-interaction",
        {"POETRY_VIRTUALENVS_IN_PROJECT": "true"},
    ),
    "npm": ("npm update --package-lock-only --ignore-scripts", {}),
}


def index():
    """
    Return the index that pip is configured for, or its default.
    """
    default = import_module("pip._internal.models.index").PyPI.simple_url
    return os.environ.get("PIP_INDEX_URL", default).rstrip("/")


def poetry_source():
    """
    Return the table that names the index to Poetry, which has no variable for it.
    """
    return f'\n[[tool.poetry.source]]\nname = "index"\nurl = "{index()}/"\n'


def use_tool(monkeypatch, command):
    """
    Put a tool in front of the PATH and return its path, or skip the test.
    """
    places = os.environ.get("UPGRADE_STATE_TOOLS", "")
    # The session does not install npm.
    found = shutil.which(command, path=places) or shutil.which(command)
    if found is None:
        pytest.skip(f"no {command} here")
    monkeypatch.setenv("PATH", os.path.dirname(found), prepend=os.pathsep)
    return found


def use_recipe(monkeypatch, name, caches):
    """
    Put the tool of the recipe *name* in front of the PATH, or skip the test.

    The tool keeps its downloads in the directory *caches*, and finds Rust.
    """
    use_tool(monkeypatch, checks.RECIPES[name].argv[0])
    for variable in _CACHES:
        monkeypatch.setenv(variable, str(caches / variable.lower()))
    home = Path(os.environ["HOME"])
    home.mkdir(exist_ok=True)
    rust = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".rustup"
    if rust.is_dir() and not (home / ".rustup").exists():
        (home / ".rustup").symlink_to(rust)


def run(directory, *argv, check=False, **variables):
    """
    Run a tool, and return the finished process with its output and errors.
    """
    environment = {
        name: value
        for name, value in (os.environ | {"NO_COLOR": "1"} | variables).items()
        if name not in _UNSET
    }
    return subprocess.run(
        argv,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=check,
        timeout=300,
    )


def output_of(directory, *argv, **variables):
    return run(directory, *argv, **variables).stdout


def contents(directory):
    """
    Return the digest of every file, which includes those of version control.
    """
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def commit(directory, tag=None):
    """
    Make a repository of *directory*, or add a commit to it, with everything in it.
    """
    author = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com")
    run(directory, "git", "init", "--quiet", check=True)
    run(directory, "git", "add", "--all", check=True)
    run(directory, "git", *author, "commit", "--quiet", "-m", "shop", check=True)
    if tag:
        run(directory, "git", "tag", tag, check=True)


def lockfile_of(name):
    """
    Return the name of the lockfile of the recipe *name*.
    """
    pattern = checks.RECIPES[name].lockfile
    return _LOCKFILES.get(pattern, pattern)


def write(directory, files):
    """
    Write files by their paths below *directory*.
    """
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make(top, files, name, below=".", tag="v1.0"):
    """
    Make a repository of *files*, whose lockfile is of a time before an upgrade.

    ``<old|new>`` in a file stands for the text when the lockfile is made, and for the
    text afterwards. The last commit has the tag *tag*.

    Returns:
        The finished process of the tool, which may have failed.
    """
    ignored = ".venv/\n*.egg-info/\n__pycache__/\n_version.py\n"
    manifest = os.path.join(below, "pyproject.toml").removeprefix("./")
    if name == "poetry":
        files = files | {manifest: files[manifest] + poetry_source()}
    old, new = (
        {path: re.sub(_CHOICE, side, text) for path, text in files.items()}
        for side in (r"\1", r"\2")
    )
    write(top, {".gitignore": ignored} | old)
    commit(top, tag)
    done = lock(top / below, name)
    write(top, new)
    # Poetry reads the dependencies of a package from its last build, if there is one.
    run(top, "git", "clean", "--quiet", "-dfX", check=True)
    run(top, "git", "tag", "--delete", tag, check=True)
    commit(top, tag)
    return done


def lock(directory, name, **variables):
    """
    Upgrade a lockfile by the tool of the recipe *name*, or make it.
    """
    command, usual = COMMANDS[name]
    return run(directory, *command.split(), **(usual | variables))


def upgrades(before, after, name):
    """
    Return the upgrades from one lockfile to another, read by this library.
    """
    as_ = checks.RECIPES[name].format or lockfiles.format_of(lockfile_of(name))
    old, new = (lockfiles.read(content, format=as_) for content in (before, after))
    diff = lockfiles.diff(old, new)
    assert diff.comparable
    return diff.upgrades


def upgrades_by_hand(top, name, below="."):
    """
    Return the upgrades that the tool finds in a copy of the directory *top*.
    """
    copy = top.with_name(f"{top.name}-by-hand")
    shutil.copytree(top, copy, symlinks=True)
    lockfile = copy / below / lockfile_of(name)
    before = lockfile.read_bytes()
    done = lock(copy / below, name)
    assert 0 == done.returncode, done.stdout
    return upgrades(before, lockfile.read_bytes(), name)


def upgrades_of_check(top, name, below=".", *options):
    """
    Return the upgrades that a check finds. Nothing in the directory *top* changes.

    The recipe is the one that the command line takes by itself.
    """
    before = contents(top)
    command = (sys.executable, "-m", "upgrade_state", "check")
    done = run(top / below, *command, "--lockfile", lockfile_of(name), *options)
    assert 0 == done.returncode, done.stdout
    assert before == contents(top)
    environment = StateStore().environment(top / below, lockfile_of(name))
    assert name == environment.look().information.checker
    return environment.upgrades()
