"""
Peers: small programs that do the work of an activation in another way.

Each remembers, for each environment, when the user was notified and which lockfile was
checked. They use only the documented interfaces of the libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from upgrade_state import EnvironmentState

HERE = Path(__file__).parent

# A directory in which `npm install` was run with package.json.
NPM_VARIABLE = "UPGRADE_STATE_NPM"

# Modules with `read` and `write`, by their words on the page.
STORES = {
    "with sqlite3": "with_sqlite",
    "with diskcache": "with_diskcache",
    "with shelve": "with_shelve",
    "a naive version": "naive",
}

_WRITE = """\
import time
from decide import digest
from {module} import write
write({place!r}, {directory!r}, time.time(), digest({lockfile!r}))
"""

_READ = """\
from decide import is_check_due, is_notice_due
from {module} import read
notified, checked = read({place!r}, {directory!r})
if is_notice_due(notified):
    print("upgrades")
"""

_CHECK = """\
if is_check_due(checked, {lockfile!r}):
    print("a check is due")
"""

# Nothing answers there, so update_checker learns no newer version without a network.
_NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


class MissingError(Exception):
    """
    A peer cannot be measured on this machine.
    """


def activation(
    module: str, place: Path, shop: EnvironmentState, *, asks_check: bool = True
) -> list[str]:
    """
    Make the program of one peer, which asks whether a notice, or also a check, is due.

    It is beside a copy of the modules, which an interpreter compiles once.
    """
    scripts = place / "peers"
    shutil.copytree(HERE, scripts, dirs_exist_ok=True)
    facts = {"module": module, "place": str(place), "directory": shop.path}
    facts["lockfile"] = f"{shop.path}/{shop.lockfile_name}"
    _run(script(scripts / f"{module}-write.py", _WRITE.format(**facts)))
    text = _READ + _CHECK * asks_check
    command = script(scripts / f"{module}-{asks_check}.py", text.format(**facts))
    _run(command)
    return command


def update_checker() -> list[str]:
    """
    Return the command that asks update_checker, whose answer is fresh.
    """
    command = [sys.executable, str(HERE / "with_update_checker.py")]
    _run(command, _NO_NETWORK)
    return command


def node() -> list[str]:
    """
    Return the command of a Node that does nothing.
    """
    if program := shutil.which("node"):
        return [program, "-e", "0"]
    raise MissingError("Node is not installed")


def npm(name: str, *arguments: str) -> list[str]:
    """
    Return the command that runs a peer for Node, which has remembered the state.
    """
    program, packages = node()[0], os.environ.get(NPM_VARIABLE)
    if not packages:
        raise MissingError(f"no {NPM_VARIABLE}")
    command = [program, shutil.copy(HERE / f"{name}.mjs", packages), *arguments]
    _run(command)
    if not [*Path(os.environ["HOME"]).glob(f".config/configstore/*{name}*")]:
        raise MissingError("it has remembered nothing")
    return command


def pip(place: Path) -> list[str]:
    """
    Return an installation of nothing, in which pip checks itself.

    Its answer is a week old at most, so none asks an index.
    """
    index = place / "index"
    page = '<a href="pip-1.0-py3-none-any.whl">pip-1.0-py3-none-any.whl</a>'
    (index / "pip").mkdir(parents=True)
    (index / "pip" / "index.html").write_text(f"<!doctype html>\n{page}\n")
    os.environ["PIP_CONFIG_FILE"] = os.devnull
    command = [sys.executable, "-m", "pip", "install", "-qqq", "attrs"]
    command += ["--index-url", index.as_uri()]
    _run(command)
    if not [*place.rglob("selfcheck/*")]:
        raise MissingError("pip has not checked itself")
    return command


def _run(command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
    """
    Run a peer, which has to be silent.
    """
    done = subprocess.run(
        command,
        check=False,
        env=os.environ | (environ or {}),
        capture_output=True,
        text=True,
    )
    said = (done.stdout + done.stderr).strip()
    if done.returncode or said:
        raise MissingError(said.rpartition("\n")[2] or f"status {done.returncode}")
