"""
Give a notice of the packages of a virtual environment, and look for upgrades.

``PYTHON THIS_FILE ENVIRONMENT SITE_PACKAGES`` is in the activate scripts, with stdout
on the terminal; with one more argument it makes the check. virtualenv has no lockfile:
one pin for each installed distribution takes its place.
"""

import os
import sys

import upgrade_state


def main(directory: str, site_packages: str, *check: str) -> None:
    """
    Give a notice and start a check, or make the check.
    """
    parent, name = os.path.split(directory)
    environment = upgrade_state.StateStore().environment(parent, name=name)
    pins = _pins(site_packages)
    lockfile = _text(pins)
    if check:
        with environment.try_check(lockfile) as guard:
            if guard is not None and guard.freshness().due:
                new = _text(pins + _newest(directory, pins))
                guard.commit(new, format="requirements", checker="virtualenv's plugin")
    elif pins:
        if verdict := environment.claim_notice(lockfile):
            sys.stdout.write(f"{verdict.message} See 'pip list --outdated'.\n")
        checker = [sys.executable, *sys.argv, "check"]
        environment.start_check(checker, lockfile=lockfile)


def _pins(site_packages: str) -> list[tuple[str, str]]:
    """
    Return name and version of each distribution that was installed from an index.
    """
    pins = []
    for entry in os.listdir(site_packages):
        stem = f"{site_packages}/{entry}".removesuffix(".dist-info")
        # Archives at a URL have the one, pip and other seeds of virtualenv the other.
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


def _newest(directory: str, pins: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """
    Return the newest versions that go together, as pip would install them.
    """
    import json  # an activation needs neither
    import subprocess

    # With --upgrade, pip would take an index out of reach for one without upgrades.
    how = ["--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check"]
    pip = [f"{directory}/bin/python", "-I", "-m", "pip", "install", "--report=-", *how]
    command = [*pip, *(name for name, _ in pins)]
    done = subprocess.run(command, timeout=900, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip().rpartition("\n")[2])
    found = [one["metadata"] for one in json.loads(done.stdout)["install"]]
    return [(one["name"], one["version"]) for one in found]


if __name__ == "__main__":
    main(*sys.argv[1:])
