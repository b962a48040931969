"""
Measure a manager's own command with its plugin against the same without.

    python plugins/overhead.py poetry [--pairs 21]

Run it with the interpreter of the environment that has the plugin; the variable
``UPGRADE_STATE_BARE`` names that of the environment without. `nox -s plugins` does
both. The check is fresh and the notice was given, as in nearly every run. Both
commands take turns; the figure is the ratio of the sums of their CPU times, user and
system, children included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import runpy
import sys
import tempfile
from pathlib import Path

import situations


def cpu_seconds(scene: situations.Scene, python: str) -> float:
    """
    Run the command once at a terminal; return the CPU time of its processes.
    """
    process = scene.start(scene.manager.measured(python))
    # Before the end of the process is waited for, which forgets the times.
    _, _, usage = os.wait4(process.process.pid, 0)
    process.process.returncode = 0
    process.end()
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("plugin")
    parser.add_argument("--pairs", type=int, default=21)
    options = parser.parse_args()
    name = options.plugin
    path = situations.PLUGINS / name / "tests" / f"test_{name}.py"
    manager = runpy.run_path(str(path))["MANAGER"]
    if manager.stand_in is not None:
        print(f"{name}: a stand-in, whose overhead says nothing")
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "template").mkdir()
        index = situations.Index(place)
        try:
            template = situations.make_template(manager, place / "template", index)
            scene = situations.make_scene(manager, place, index, template)
            scene.check()
            assert manager.notice in scene.run().added
            assert "" == scene.run().added
            pairs = [
                (cpu_seconds(scene, scene.bare), cpu_seconds(scene, sys.executable))
                for _ in range(options.pairs)
            ]
        finally:
            index.stop()
    without, with_plugin = map(sum, zip(*pairs, strict=True))
    version = importlib.metadata.version(name)
    command = " ".join(manager.measured("python")[2:])
    print(f"{name} {version}, Python {platform.python_version()}: {command}")
    print(
        f"{options.pairs} pairs: {without / options.pairs:.3f} s without, "
        f"{with_plugin / options.pairs:.3f} s with the plugin, "
        f"ratio {with_plugin / without:.3f}"
    )


if __name__ == "__main__":
    main()
