"""
The program: ``conda list`` and ``conda update --all --dry-run --json``.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import urllib.request
from pathlib import Path

from conda.base.context import context


def settings() -> dict[str, str]:
    """
    Return the lines of the user's file, without their sections.
    """
    path = Path.home() / ".condarc"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.strip().split(": ", 1) for line in lines if ": " in line)


def installed(prefix: Path) -> list[dict[str, str]]:
    """
    Return the records of the packages of an environment.
    """
    return [json.loads(file.read_text()) for file in prefix.glob("conda-meta/*.json")]


def listed(record: dict[str, str]) -> dict[str, str]:
    """
    Return the fields of a package as conda lists them.
    """
    fields = {key: record[key] for key in ("name", "version", "build_number")}
    dist = "-".join(record[key] for key in ("name", "version", "build"))
    place = {"base_url": "", "channel": "", "platform": record["subdir"]}
    return {**fields, **place, "build_string": record["build"], "dist_name": dist}


def update(prefix: Path, channel: str) -> dict[str, object]:
    """
    Return the answer to a dry run of an update.
    """
    with urllib.request.urlopen(f"{channel}/noarch/repodata.json") as answer:
        offered = json.load(answer)["packages"].values()
    old = installed(prefix)
    newest = {one["name"]: one for one in sorted(offered, key=lambda o: o["version"])}
    new = [newest[one["name"]] for one in old]
    if all(a["version"] == b["version"] for a, b in zip(old, new, strict=True)):
        return {"success": True, "message": "All requested packages already installed."}
    actions = {"UNLINK": [*map(listed, old)], "LINK": [*map(listed, new)]}
    return {"success": True, "dry_run": True, "actions": actions}


def main() -> int:
    """
    Run a command between the hooks.
    """
    parser = argparse.ArgumentParser(prog="conda")
    parser.add_argument("command", choices=["list", "update"])
    parser.add_argument("--prefix", "-p", type=Path, required=True)
    for option in ("--all", "--dry-run", "--json", "--quiet"):
        parser.add_argument(option, action="store_true")
    options = parser.parse_args()
    prefix = Path(os.path.realpath(options.prefix))
    given = settings()
    context.json, context.quiet, context.target_prefix = (
        options.json, options.quiet or options.json, str(prefix),
    )  # fmt: skip
    plugins = [e.load() for e in importlib.metadata.entry_points(group="conda")]
    for plugin in plugins:
        for one in plugin.conda_settings():
            is_on = given.get(one.name, str(one.parameter.default)).lower() == "true"
            setattr(context.plugins, one.name, is_on)

    def call(hook: str) -> None:
        for plugin in plugins:
            for one in getattr(plugin, hook)():
                if options.command in one.run_for:
                    one.action(options.command)

    call("conda_pre_commands")
    if options.command == "list":
        for one in installed(prefix):
            print(one["name"], one["version"], one["build"])
    else:
        try:
            print(json.dumps(update(prefix, given["channels"].strip("[]"))))
        except OSError as error:
            print(json.dumps({"error": repr(error), "message": str(error)}))
            return 1
    call("conda_post_commands")
    return 0


if __name__ == "__main__":
    sys.exit(main())
