"""
Lockfiles of tools that build on Nix.
"""

import re
from collections.abc import Iterator

from ._model import Package
from ._parse import (
    Table,
    UnreadableError,
    demand_version,
    load_json,
    optional_text,
    table,
    tables,
    text,
)

# Of the path to an input. Real ones have up to some 100 characters.
_MAX_PATH = 256

# In all. Real lockfiles have some fifty; each has a path of its own, so without
# an end a small file could fill the memory.
_MAX_INPUTS = 10_000

_NIXPKGS = "github:NixOS/nixpkgs/"
_BASE = re.compile(
    rf"{_NIXPKGS}([0-9a-f]{{40}})(?:[?&](?:lastModified|narHash)=[A-Za-z0-9%+/=-]+)*"
)

# What tells the content of a flake, whoever asks and wherever it is.
_LOCKED = re.compile("[?&](?:narHash|rev)=([A-Za-z0-9%+/=-]{40,80})")


def devbox(content: bytes) -> Iterator[Package]:
    """
    Read ``devbox.lock``.

    A package goes by its name without the version that is asked for. What is
    built differs by system, and what is found for one system is a commit of
    nixpkgs, where many commits have the same builds.
    """
    document = table(load_json(content))
    demand_version(document["lockfile_version"], "1")
    for key, entry in table(document["packages"]).items():
        if key.startswith(_NIXPKGS) and "#" not in key:
            yield _devbox_base(key, optional_text(table(entry).get("resolved")) or "")
            continue
        yield Package(
            text(_devbox_name(key)),
            # A flake has none.
            optional_text(table(entry).get("version")) or None,
            ecosystem="nix",
            build=_devbox_build(optional_text(entry.get("resolved")) or ""),
            builds=tuple(_devbox_builds(table(entry.get("systems", {})))),
            direct=True,
            local=key.startswith("path:"),
        )


def _devbox_base(key: str, resolved: str) -> Package:
    """
    Return the nixpkgs from which Devbox itself gets its shell.
    """
    found = _BASE.fullmatch(resolved)
    version, build = (found[1], found[0]) if found else (None, None)
    return Package(key, version, ecosystem="nix", build=build, internal=True)


def _devbox_name(key: str) -> str:
    scheme, colon, _ = key.partition(":")
    if colon and scheme != "runx":
        location, hash_, attribute = key.partition("#")
        return f"{_flake_name(location.partition('?')[0])}{hash_}{attribute}"
    name, _, request = key.rpartition("@")
    return name if name and request else key


def _flake_name(location: str) -> str:
    scheme, _, rest = location.partition(":")
    if scheme != "path":
        if "//" not in rest:  # github:owner/repository
            return location
        # Neither who asks nor whom is for everybody's eyes.
        rest = rest.partition("//")[2].partition("/")[2]
    return rest.rstrip("/").rpartition("/")[2] or scheme


def _devbox_build(resolved: str) -> str | None:
    if resolved.startswith("path:") or "//" in resolved:
        locked = _LOCKED.search(resolved)
        return locked[1] if locked else None
    location, hash_, attribute = resolved.partition("#")
    return f"{location.partition('?')[0]}{hash_}{attribute}" or None


def _devbox_builds(systems: Table) -> Iterator[tuple[str, str]]:
    for system, info in systems.items():
        outputs = tables(table(info).get("outputs", []))
        paths = [output["path"] for output in outputs if output.get("default")]
        # Older lockfiles have this path alone.
        path = optional_text([*paths, info.get("store_path")][0])
        if path:
            yield system, path


def flake(content: bytes) -> Iterator[Package]:
    """
    Read ``flake.lock`` or ``devenv.lock``.

    Nodes are numbered anew at any time, so an input goes by its path from
    the root. An input that follows another one is not one of its own.
    """
    document = table(load_json(content))
    demand_version(document["version"], 7)
    nodes = table(document["nodes"])
    pending = [("", text(document["root"]))]
    done, count = set(), 0
    while pending:
        parent, key = pending.pop()
        if key in done:  # in a cycle, or shared; Nix itself stops here, too
            continue
        done.add(key)
        inputs = table(table(nodes[key]).get("inputs", {}))
        count += len(inputs)
        if count > _MAX_INPUTS:
            raise UnreadableError("has too many inputs")
        for name, target in sorted(inputs.items(), reverse=True):
            if not isinstance(target, list):
                path = f"{parent}/{text(name)}" if parent else text(name)
                yield _flake_input(path, table(nodes[text(target)]))
                pending.append((path, target))


def _flake_input(path: str, node: Table) -> Package:
    if len(path) > _MAX_PATH:
        raise UnreadableError("nested too deeply")
    locked = table(node["locked"])
    revision = optional_text(locked.get("rev"))
    return Package(
        path,
        revision or optional_text(locked.get("narHash")),
        ecosystem="flake",
        direct="/" not in path,
        # With a revision it is a copy in the store of what is elsewhere.
        local=locked.get("type") == "path" and not revision,
    )


def flox(content: bytes) -> Iterator[Package]:
    """
    Read a Flox lockfile (``.flox/env/manifest.lock``).

    Packages go by install id and system, as in Flox; whatever the layout of
    the manifest, they are in the same place.
    """
    document = table(load_json(content))
    demand_version(document["lockfile-version"], 1)
    table(document["manifest"])
    for entry in tables(document["packages"]):
        yield Package(
            text(entry["install_id"]),
            optional_text(entry.get("version")),
            platform=text(entry["system"]),
            build=_derivation(entry),
            # What a package depends on is inside its derivation.
            direct=True,
        )


def _derivation(entry: Table) -> str | None:
    if "derivation" in entry:  # from the catalog, or from a flake
        return text(entry["derivation"])
    # A store path is what it is. It has nothing to be upgraded to, which
    # is why Flox never reports it.
    text(entry["store_path"])
    return None
