"""
Lockfiles of Python package managers.
"""

from typing import Any

from ._model import Document, Package, Packages, make_package
from ._parse import commit_of, demand_version, items, optional_text, table, tables, text

# The archives that pip installs.
_PACKED = (".tar.bz2", ".tar.gz", ".tar.lz", ".tar.lzma", ".tar.xz")
ARCHIVES = (".whl", ".zip", ".tar", *_PACKED, ".tbz", ".tgz", ".tlz", ".txz")


def normalize_name(name: object) -> str:
    """
    Return *name* as PEP 503 compares names.

    Poetry and Pipenv write the package's own spelling, or the user's; another
    spelling means no other package.
    """
    # A regular expression takes four times as long.
    normalized = text(name).lower().replace("_", "-").replace(".", "-")
    while "--" in normalized:
        normalized = normalized.replace("--", "-")
    return normalized


def is_directory(location: str) -> bool:
    """
    Return whether a path or URL leads to a directory of this machine.

    The file system is not read: a local path whose name is not that of an
    archive is a directory.
    """
    path = location.partition("#")[0].lower()
    is_remote = "://" in path and not path.startswith("file:")
    return not (is_remote or path.endswith(ARCHIVES))


def _package(
    entry: dict[str, Any], build: str | None, *, local: bool, direct: bool | None = None
) -> Package:
    return make_package(
        normalize_name(entry["name"]),
        optional_text(entry.get("version")),
        ecosystem="pypi",
        build=build,
        direct=direct,
        local=local,
    )


def pdm(document: Document) -> Packages:
    """
    Read ``pdm.lock``.

    An extra makes another entry of the same name and version.
    """
    _demand_major(table(document["metadata"])["lock_version"], "4")
    for entry in tables(document["package"]):
        path = optional_text(entry.get("path"))
        if "url" in entry or "path" in entry:
            build = _hash_of(entry.get("files", []))
        else:  # from a repository; an editable one has no revision
            build = optional_text(entry.get("revision"))
        yield _package(entry, build, local=path is not None and is_directory(path))


def pipfile(document: Document) -> Packages:
    """
    Read ``Pipfile.lock``.

    Pipenv installs all categories into one virtual environment, so a package
    may have the versions of several categories.
    """
    demand_version(table(document.pop("_meta"))["pipfile-spec"], 6)
    table(document["default"])
    for category in document.values():
        for name, value in table(category).items():
            entry = table(value)
            location = optional_text(entry.get("path", entry.get("file")))
            build = None
            if "ref" in entry:  # a branch, if an old Pipenv could not resolve it
                build = commit_of(text(entry["ref"]))
            elif location is not None:
                build = min(map(text, items(entry.get("hashes", []))), default=None)
            yield make_package(
                normalize_name(name),
                _pipfile_version(entry),
                ecosystem="pypi",
                build=build,
                local=location is not None and is_directory(location),
            )


def _pipfile_version(entry: dict[str, Any]) -> str | None:
    # Entries from a URL, path or repository have none. "*": the markers
    # exclude the machine that ran Pipenv.
    version = text(entry.get("version", "*"))
    if version.startswith("=="):
        return text(version.lstrip("="))
    if version != "*":
        raise ValueError("not pinned")
    return None


def poetry(document: Document) -> Packages:
    """
    Read ``poetry.lock``.

    Packages from any index but PyPI have a source; another index makes no
    other package. Files before version 2 have their hashes in another place;
    these are not read.
    """
    _demand_major(table(document["metadata"])["lock-version"], "1", "2")
    for entry in tables(document["package"]):
        source = table(entry.get("source", {}))
        if source.get("type") in {"file", "url"}:
            build = _hash_of(entry.get("files", []))
        else:
            build = optional_text(source.get("resolved_reference"))
        text(entry["version"])
        yield _package(entry, build, local=source.get("type") == "directory")


def pylock(document: Document) -> Packages:
    """
    Read ``pylock.toml`` (PEP 751), of any tool.

    One name has several entries if their markers exclude one another.
    """
    _demand_major(document["lock-version"], "1")
    text(document["created-by"])
    for entry in tables(document["packages"]):
        build = None
        if "vcs" in entry:
            build = text(table(entry["vcs"])["commit-id"])
        elif "archive" in entry:
            hashes = table(table(entry["archive"])["hashes"])
            # Which other algorithms there are depends on the tool.
            algorithm = "sha256" if "sha256" in hashes else min(hashes)
            build = f"{algorithm}:{text(hashes[algorithm])}"
        yield _package(entry, build, local=bool(table(entry.get("directory", {}))))


def uv(document: Document) -> Packages:
    """
    Read ``uv.lock``.

    uv keeps all revisions of version 1 readable, so the revision is ignored.
    The URL of an index may change without any upgrade, so it is ignored, too.
    uv compares version and commit. The archive at a URL or path can change
    without another version, so its hash is its build.
    """
    demand_version(document["version"], 1)
    text(document["requires-python"])
    # A workspace or script without any package has no such list.
    entries = tables(document.get("package", []))
    direct = _uv_direct(table(document.get("manifest", {})), entries)
    for entry in entries:
        source = table(entry["source"])
        build = None
        if "git" in source:
            build = commit_of(text(source["git"]))
        elif "url" in source or "path" in source:
            files = [entry.get("sdist", {}), *items(entry.get("wheels", []))]
            build = _hash_of(files)
        yield _package(
            entry,
            build,
            local=not source.keys().isdisjoint(("directory", "editable", "virtual")),
            direct=entry["name"] in direct if direct else None,
        )


def _uv_direct(manifest: dict[str, Any], entries: list[dict[str, Any]]) -> set[str]:
    """
    Return the names of the projects and of their requirements.

    Empty: the lockfile does not tell.
    """
    if "members" in manifest:
        members = set(map(text, items(manifest["members"])))
        roots = [entry for entry in entries if entry["name"] in members]
    else:
        # The only member is the project beside the lockfile, if there is one.
        sources = [(entry, table(entry["source"])) for entry in entries]
        roots = [e for e, s in sources if "." in (s.get("editable"), s.get("virtual"))]
    # Scripts, and workspaces without a project at their root, have
    # requirements in the manifest.
    groups = [roots, manifest.get("requirements", [])]
    groups += table(manifest.get("dependency-groups", {})).values()
    for root in roots:
        groups.append(root.get("dependencies", []))
        groups += table(root.get("optional-dependencies", {})).values()
        groups += table(root.get("dev-dependencies", {})).values()
    return {text(item["name"]) for group in groups for item in tables(group)}


def _demand_major(version: object, *known: str) -> None:
    # All of these formats add fields in minor versions only.
    demand_version(text(version).partition(".")[0], *known)


def _hash_of(files: object) -> str | None:
    """
    Return the hash of the one file at a URL or path; None: it has none.
    """
    hashes = (optional_text(file.get("hash")) for file in tables(files))
    return min(filter(None, hashes), default=None)
