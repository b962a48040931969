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
import subprocess
import sys
import tempfile
from typing import Any

from tox.plugin import impl

import upgrade_state  # it loads the rest on first use


@impl
def tox_add_core_config(core_conf: Any) -> None:
    """
    Add the key with which the plugin is switched off.
    """
    desc = "give notices of upgrades, and look for them in the background"
    core_conf.add_config("upgrade_notice", of_type=bool, default=True, desc=desc)


@impl
def tox_after_run_commands(tox_env: Any) -> None:
    """
    Give a notice, and start a check. No error reaches tox: it becomes a debug line.
    """
    try:
        # Below this directory only because the project requires the plugin.
        is_the_users = not sys.prefix.startswith(f"{tox_env.core['work_dir']}{os.sep}")
        if is_the_users and sys.stderr.isatty() and tox_env.core["upgrade_notice"]:
            _work(tox_env)
    except Exception as error:  # noqa: BLE001 - also a tox of another version
        logging.getLogger(__name__).debug("No upgrade notice: %r", error)


def _work(tox_env: Any) -> None:
    keys = "env_dir", "env_python", "env_site_packages_dir"
    paths = [os.fspath(tox_env.conf[key]) for key in keys]
    directory, name = os.fspath(tox_env.core["toxinidir"]), tox_env.conf.name
    environment = upgrade_state.StateStore().environment(directory, name=name)
    lockfile = _text(_pins(paths[-1]))
    verdict = environment.claim_notice(lockfile)
    if verdict:
        sys.stderr.write(f"{verdict.message} Run 'tox -r -e {name}' to upgrade.\n")
    checker = [sys.executable, "-m", __name__, directory, name, *paths]
    environment.start_check(checker, lockfile=lockfile)


def _pins(site_packages: str) -> list[tuple[str, str]]:
    """
    Return name and version of each distribution that was installed from an index.
    """
    pins = []
    for entry in os.listdir(site_packages):
        stem = f"{site_packages}/{entry}".removesuffix(".dist-info")
        # The project itself has the one, pip and other seeds of virtualenv the other.
        others = f"{stem}.dist-info/direct_url.json", f"{stem}.virtualenv"
        if entry.endswith(".dist-info") and not any(map(os.path.exists, others)):
            name, _, version = os.path.basename(stem).rpartition("-")
            pins.append((name, version))
    return pins


def _text(pins: list[tuple[str, str]]) -> bytes:
    """
    Return a lockfile; of two versions of one distribution, the last counts.
    """
    last = {name.lower().replace("_", "-").replace(".", "-"): v for name, v in pins}
    return "".join(f"{name}=={last[name]}\n" for name in sorted(last)).encode()


def main(directory: str, name: str, env_dir: str, python: str, site: str) -> None:
    """
    Make the check of one tox environment.
    """
    pins = _pins(site)
    environment = upgrade_state.StateStore().environment(directory, name=name)
    with environment.try_check(_text(pins)) as guard:
        if guard is not None and guard.freshness().due:
            pins += _newest(directory, env_dir, python)
            guard.commit(_text(pins), format="requirements", checker="the tox plugin")


def _newest(directory: str, env_dir: str, python: str) -> list[tuple[str, str]]:
    """
    Return the versions that pip would install in an empty environment.
    """
    with open(f"{env_dir}/.tox-info.json", encoding="utf-8") as file:
        info = json.load(file)
    sections = [info.get(section, {}) for section in ("PythonRun", "RunToxEnv")]
    installs = [install for section in sections for install in section.values()]
    pip = [python, "-I", "-m", "pip", "install", "--dry-run", "--report=-", "--quiet"]
    # With --upgrade, pip would take an index out of reach for one without upgrades.
    pip += ["--ignore-installed", "--disable-pip-version-check"]
    lists: dict[str, list[str]] = {"--constraint": [], "--requirement": []}
    env = dict(os.environ)
    for install in installs:
        env |= install["env"]
        lists["--constraint"] += [line[3:] for line in install.get("constraints", ())]
        for key in "options", "requirements", "req":
            lists["--requirement"] += install.get(key, ())
    with tempfile.TemporaryDirectory() as place:
        for option, lines in lists.items():
            pip.append(f"{option}={place}/{option}")
            with open(f"{place}/{option}", "w", encoding="utf-8") as file:
                file.write("\n".join(lines))
        done = subprocess.run(  # noqa: S603 - tox's own command but for the options
            pip, cwd=directory, env=env, timeout=900, capture_output=True, check=False
        )
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip().rpartition("\n")[2])
    found = [one for one in json.loads(done.stdout)["install"] if not one["is_direct"]]
    metadata = [one["metadata"] for one in found]
    return [(one["name"], one["version"]) for one in metadata]


if __name__ == "__main__":
    main(*sys.argv[1:])
