"""
Lockfiles of tools that build on Nix.
"""

import re
from collections.abc import Iterator
from typing import Any

from ._model import Document, Package, Packages, make_package
from ._parse import UnreadableError, demand_version, optional_text, table, tables, text

# Characters in the path to an input. Real ones have up to about 100.
_MAX_PATH = 256

# Inputs in all. Real lockfiles have about fifty. Each input has a path of its
# own, so without a limit a small file could fill the memory.
_MAX_INPUTS = 10_000

_NIXPKGS = "github:NixOS/nixpkgs/"
_BASE = re.compile(
    rf"{_NIXPKGS}([0-9a-f]{{40}})(?:[?&](?:lastModified|narHash)=[A-Za-z0-9%+/=-]+)*"
)

# The release in the URL of a Nix channel, after the host.
_RELEASE = re.compile(r"(?<!/)/(?:nixos|nixpkgs)-(?:[a-z]+-)*(\d[\w.]*)/", re.ASCII)

# Where a pin of niv comes from.
_SOURCES = frozenset(("repo", "path", "url", "url_template"))

# The parameters of a flake's URL that identify its content.
_LOCKED = re.compile("[?&](?:narHash|rev)=([A-Za-z0-9%+/=-]{40,80})")


def devbox(document: Document) -> Packages:
    """
    Read ``devbox.lock``.

    The name of a package does not include the version that the user asked
    for. Builds are store paths, one per system. Older lockfiles have a commit
    of nixpkgs instead, which is weaker: many commits have the same builds.
    """
    demand_version(document["lockfile_version"], "1")
    for key, entry in table(document["packages"]).items():
        resolved = optional_text(table(entry).get("resolved")) or ""
        if key.startswith(_NIXPKGS) and "#" not in key:
            # The nixpkgs that Devbox itself takes its shell from.
            match = _BASE.fullmatch(resolved)
            version, build = (match[1], match[0]) if match else (None, None)
            yield make_package(
                key, version, ecosystem="nix", build=build, internal=True
            )
            continue
        yield make_package(
            text(_devbox_name(key)),
            # Flakes have no version.
            optional_text(entry.get("version")) or None,
            ecosystem="nix",
            build=_devbox_build(resolved),
            builds=tuple(_devbox_builds(table(entry.get("systems", {})))),
            direct=True,
            local=key.startswith("path:"),
        )


def _devbox_name(key: str) -> str:
    scheme, colon, _ = key.partition(":")
    if not colon or scheme == "runx":  # NAME@VERSION
        name, _, request = key.rpartition("@")
        return name if name and request else key
    location, hash_, attribute = key.partition("#")
    location = location.partition("?")[0]
    scheme, _, rest = location.partition(":")
    if scheme == "path" or "//" in rest:
        if scheme != "path":
            # User, password and host stay out of the name.
            rest = rest.partition("//")[2].partition("/")[2]
        location = rest.rstrip("/").rpartition("/")[2] or scheme
    return f"{location}{hash_}{attribute}"


def _devbox_build(resolved: str) -> str | None:
    if resolved.startswith("path:") or "//" in resolved:
        locked = _LOCKED.search(resolved)
        return locked[1] if locked else None
    location, hash_, attribute = resolved.partition("#")
    return f"{location.partition('?')[0]}{hash_}{attribute}" or None


def _devbox_builds(systems: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for system, info in systems.items():
        # Older lockfiles have only the path of the package.
        path = table(info).get("store_path")
        for output in reversed(tables(info.get("outputs", []))):
            if output.get("default"):
                path = output["path"]
        if path := optional_text(path):
            yield system, path


def flake(document: Document) -> Packages:
    """
    Read ``flake.lock`` or ``devenv.lock``.

    Nix may renumber nodes at any time, so the name of an input is its path
    from the root, as in the report of ``nix flake update``. An input that
    follows another input is left out.
    """
    demand_version(document["version"], 7)
    nodes = table(document["nodes"])
    pending = [("", text(document["root"]))]
    visited, count = set(), 0
    while pending:
        parent, key = pending.pop()
        if key in visited:  # a cycle, or a shared node; Nix stops here, too
            continue
        visited.add(key)
        inputs = table(table(nodes[key]).get("inputs", {}))
        count += len(inputs)
        if count > _MAX_INPUTS:
            raise UnreadableError("has too many inputs")
        for name, target in sorted(inputs.items(), reverse=True):
            if not isinstance(target, list):
                path = f"{parent}/{text(name)}" if parent else text(name)
                node = table(nodes[text(target)])
                yield _flake_input(path, node)
                if "inputs" in node:
                    pending.append((path, target))


def _flake_input(path: str, node: dict[str, Any]) -> Package:
    if len(path) > _MAX_PATH:
        raise UnreadableError("nested too deeply")
    locked = table(node["locked"])
    revision = optional_text(locked.get("rev"))
    return make_package(
        path,
        revision or optional_text(locked.get("narHash")),
        ecosystem="flake",
        direct="/" not in path,
        # A path with a revision is a copy of a repository in the Nix store.
        local=locked.get("type") == "path" and not revision,
    )


devenv = flake


def flox(document: Document) -> Packages:
    """
    Read a Flox lockfile (``.flox/env/manifest.lock``).

    A package is identified by install id and system, as in Flox, which uses the
    first entry of each. All layouts of the manifest have the packages in the same
    place. Dependencies are part of a derivation, so every package is direct.
    """
    demand_version(document["lockfile-version"], 1)
    table(document["manifest"])
    first: dict[tuple[str, str | None], Package] = {}
    for entry in tables(document["packages"]):
        # Packages of the catalog and of flakes have a derivation. A store
        # path never changes, so Flox never reports an upgrade of it.
        if "derivation" not in entry:
            text(entry["store_path"])
        package = make_package(
            text(entry["install_id"]),
            optional_text(entry.get("version")),
            platform=text(entry["system"]),
            build=text(entry["derivation"]) if "derivation" in entry else None,
            direct=True,
        )
        first.setdefault((package.name, package.platform), package)
    yield from first.values()


def niv(document: Document) -> Packages:
    """
    Read ``nix/sources.json`` of niv.
    """
    # Without any pin, nothing tells the file from other JSON.
    if not document:
        raise LookupError("no pin")
    for name, pin in table(document).items():
        if _SOURCES.isdisjoint(table(pin)):
            raise LookupError("no source")
        yield _pin(name, pin, "niv")


def npins(document: Document) -> Packages:
    """
    Read ``npins/sources.json``.
    """
    demand_version(document["version"], *range(9))
    for name, pin in table(document["pins"]).items():
        text(table(pin)["type"])
        yield _pin(name, pin, "npins")


def _pin(name: str, pin: dict[str, Any], ecosystem: str) -> Package:
    """
    Return one source that the user has pinned.

    A source that follows releases has a version, and its revision is its
    build. The version of any other one is its revision. The file at a URL has
    neither, so its hash is its build.
    """
    # Version 0 of npins had names of releases.
    version = _first_text(pin, "version", "release_name")
    revision = _first_text(pin, "revision", "rev", "image_digest")
    hash_ = _first_text(pin, "hash", "sha256")
    if pin.get("type") == "Channel":
        release = _RELEASE.search(optional_text(pin.get("url")) or "")
        version = release[1] if release else None
    # npins moved to another spelling of the same hashes.
    spelling = "SRI" if "-" in (hash_ or "") else "base 32"
    return make_package(
        text(name),
        version or revision,
        ecosystem=ecosystem,
        build=revision if version else None,
        builds=((spelling, hash_),) if hash_ and not (version or revision) else (),
        direct=True,
        local=pin.get("type") == "local",
    )


def _first_text(pin: dict[str, Any], *keys: str) -> str | None:
    for key in keys:
        if key in pin and (value := optional_text(pin[key])):
            return value
    return None
