"""
tox tells its user when the packages of a tox environment have upgrades.

tox has no lockfile: one pin for each installed distribution takes its place.
``python -m upgrade_state_tox DIRECTORY NAME ENV_DIR PYTHON SITE_PACKAGES`` is the
check. It asks pip for the newest versions that fit the requirements and constraints
that tox has kept in ``.tox-info.json`` since it made the environment.
"""

import json
import logging
import os
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

from tox.plugin import impl


@impl
def tox_add_core_config(core_conf: Any) -> None:
    """
    Add the key with which the plugin is switched off.
    """
    with suppress(Exception):  # a later tox may differ
        # As an object, since a text that is no bool would end tox with an error.
        core_conf.add_config("upgrade_notice", object, "on", "give notices of upgrades")


@impl
def tox_after_run_commands(tox_env: Any) -> None:
    """
    Give a notice, and start a check. No error reaches tox: it becomes a debug line.
    """
    try:
        switch = str(tox_env.core["upgrade_notice"]).lower()
        logging.getLogger(__name__).debug("Switch: upgrade_notice = %s", switch)
        # Below this directory only because the project requires the plugin.
        mine = not sys.prefix.startswith(f"{tox_env.core['work_dir']}{os.sep}")
        if mine and sys.stderr.isatty() and switch not in ("0", "false", "no", "off"):
            _work(tox_env)
    except Exception as error:  # noqa: BLE001 - also a tox of another version
        logging.getLogger(__name__).debug("No upgrade notice: %r", error)


def _work(tox_env: Any) -> None:
    from upgrade_state import StateStore

    keys = "env_dir", "env_python", "env_site_packages_dir"
    paths = [os.fspath(tox_env.conf[key]) for key in keys]
    directory, name = os.fspath(tox_env.core["toxinidir"]), tox_env.conf.name
    environment = StateStore().environment(directory, name=name)
    lockfile = _text(_pins(paths[-1]))
    if verdict := environment.claim_notice(lockfile, could_not_check=timedelta(7)):
        sys.stderr.write(f"{verdict.message} Run 'tox -r -e {name}' to upgrade.\n")
    checker = [sys.executable, "-m", __name__, directory, name, *paths]
    environment.start_check(checker, lockfile=lockfile)


def _pins(site: str) -> list[tuple[str, ...]]:
    """
    Return name and version of each distribution that was installed from an index.
    """
    stems = (e[:-10] for e in os.listdir(site) if e.endswith(".dist-info"))
    # A path or URL has the one, pip and other seeds of virtualenv the other.
    ends = ".dist-info/direct_url.json", ".virtualenv"
    own = (s for s in stems if not any(os.path.exists(f"{site}/{s}{e}") for e in ends))
    return [stem.rpartition("-")[::2] for stem in own]


def _text(pins: list[tuple[str, ...]]) -> bytes:
    """
    Return a lockfile; of two versions of one distribution, the last counts.

    It has the names that pip takes. An interrupted pip leaves ``~ame-1.0.dist-info``.
    """
    last = {name.lower().replace("_", "-").replace(".", "-"): v for name, v in pins}
    names = [n for n in sorted(last) if n.isascii() and n.replace("-", "").isalnum()]
    return "".join(f"{n}=={last[n]}\n" for n in names if n == n.strip("-")).encode()


def _dry_run(python: str, *arguments: str) -> list[tuple[str, ...]]:
    """
    Return the versions that pip would install from an index if nothing were installed.
    """
    # With --upgrade, pip would take an index out of reach for one without upgrades.
    how = ["--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check"]
    pip = [python, "-I", "-m", "pip", "install", "--report=-", *how, *arguments]
    os.environ["UPGRADE_STATE_DISABLE"] = "1"
    p = run(pip, timeout=900, capture_output=True, text=True, errors="replace")  # noqa: S603, PLW1510
    if p.returncode:
        reason = p.stderr.partition("ERROR: ")[2] or p.stderr
        raise RuntimeError(reason.split("\n")[0])
    found = [one for one in json.loads(p.stdout)["install"] if not one["is_direct"]]
    return [(one["metadata"]["name"], one["metadata"]["version"]) for one in found]


def main(directory: str, name: str, env_dir: str, python: str, site: str) -> None:
    """
    Make the check of one tox environment.
    """
    from upgrade_state import StateStore

    pins = _pins(site)
    environment = StateStore().environment(directory, name=name)
    with environment.try_check(_text(pins)) as guard:
        if guard is not None and guard.freshness().due:
            os.chdir(directory)  # options and constraints have relative paths
            new = _text(pins + _newest(env_dir, python))
            guard.commit(new, format="requirements", checker="the tox plugin")


def _newest(env_dir: str, python: str) -> list[tuple[str, ...]]:
    """
    Return the versions that pip would install for what tox has kept.
    """
    info = json.loads(Path(env_dir, ".tox-info.json").read_bytes())
    lists: dict[str, list[str]] = {"-r": [], "-c": []}
    for install in (*info["PythonRun"].values(), *info.get("RunToxEnv", {}).values()):
        os.environ |= install["env"]
        for key in "options", "requirements", "req", "constraints":
            lists["-c" if key == "constraints" else "-r"] += install.get(key, ())
    with TemporaryDirectory() as place:
        for option, lines in lists.items():
            # pip would build a local project in place, and leave files in it.
            kept = (ln.removeprefix("-c ") for ln in lines if not _is_local(ln))
            Path(place, option).write_text("\n".join(kept), encoding="utf-8")
        return _dry_run(python, *(f"{option}{place}/{option}" for option in lists))


def _is_local(line: str) -> bool:
    return "file:" in line or line.removeprefix("-e ").startswith((".", "/"))


if __name__ == "__main__":
    main(*sys.argv[1:])
