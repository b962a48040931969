"""
Give a notice of the packages of a virtual environment, and look for upgrades.

``PYTHON THIS_FILE ENVIRONMENT SITE_PACKAGES`` is in the activate scripts, with stdout
on the terminal; with one more argument it makes the check. virtualenv has no lockfile:
one pin for each installed distribution takes its place.
"""

import os
import sys
from datetime import timedelta

import upgrade_state


def main(directory: str, site_packages: str, *check: str) -> None:
    """
    Give a notice and start a check, or make the check.
    """
    parent, name = os.path.split(directory)
    state = upgrade_state.StateStore().environment(parent, name=name)
    pins = _pins(site_packages)
    lockfile = _text(pins)
    if check:
        with state.try_check(lockfile) as guard:
            if guard is not None and guard.freshness().due:
                # A private package may have a namesake in the index: build nothing.
                how = f"{directory}/bin/python", "--only-binary=:all:", "--"
                names = (p.partition("==")[0] for p in lockfile.decode().splitlines())
                new = _text(pins + _dry_run(*how, *names))
                guard.commit(new, format="requirements", checker="virtualenv's plugin")
    elif pins:
        if verdict := state.claim_notice(lockfile, could_not_check=timedelta(7)):
            sys.stdout.write(f"{verdict.message} See 'pip list --outdated'.\n")
        state.start_check([sys.executable, "-E", *sys.argv, "check"], lockfile=lockfile)


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
    import json  # a notice needs neither
    from subprocess import run

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


if __name__ == "__main__":
    main(*sys.argv[1:])
