"""
Lockfiles of npm.
"""

from collections.abc import Iterable, Iterator

from ._model import Package
from ._parse import (
    Table,
    commit_of,
    demand_version,
    load_json,
    optional_text,
    table,
    text,
)

_REQUIREMENTS = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
)


def npm(content: bytes) -> Iterator[Package]:
    """
    Read ``package-lock.json`` or ``npm-shrinkwrap.json``.

    Checksums are no builds: a lockfile may be rewritten with better ones.
    """
    document = table(load_json(content))
    if not document.keys() & {"lockfileVersion", "packages"}:
        # As npm wrote it until its own version 4, and still reads it. One of
        # nothing cannot be told from another file.
        if not (dependencies := table(document["dependencies"])):
            raise LookupError("no package")
        return _npm_tree(dependencies)
    demand_version(document["lockfileVersion"], 1, 2, 3)
    if document["lockfileVersion"] == 1:
        return _npm_tree(table(document.get("dependencies", {})))
    # In version 2 the tree is there as well, for older programs.
    return _npm_paths(table(document["packages"]))


def _npm_paths(packages: Table) -> Iterator[Package]:
    # The root, workspaces, and directories that something links to.
    projects = {path for path in packages if "/node_modules/" not in f"/{path}"}
    asked = set(_npm_asked([table(packages[path]) for path in projects]))
    said = "" in projects
    for path, entry in packages.items():
        if path in projects or table(entry).get("link"):
            continue
        parent, _, name = path.rpartition("node_modules/")
        resolved = optional_text(entry.get("resolved"))
        yield Package(
            # An alias has another name than its directory.
            text(entry.get("name", name)),
            optional_text(entry.get("version")),
            ecosystem="npm",
            build=commit_of(resolved) if resolved and "#" in resolved else None,
            direct=name in asked and parent[:-1] in projects if said else None,
        )


def _npm_asked(projects: Iterable[Table]) -> Iterator[str]:
    for project in projects:
        for kind in _REQUIREMENTS:
            yield from table(project.get(kind, {}))


def _npm_tree(dependencies: Table) -> Iterator[Package]:
    pending = [dependencies]
    while pending:
        for name, entry in pending.pop().items():
            pending.append(table(table(entry).get("dependencies", {})))
            version = text(entry["version"])
            if version.startswith("npm:"):
                real, _, version = version[4:].rpartition("@")
                yield Package(text(real), text(version), ecosystem="npm")
            elif ":" not in version:
                # Before version 1 a commit was beside the version.
                resolved = optional_text(entry.get("resolved")) or ""
                commit = commit_of(resolved) if resolved.startswith("git") else None
                yield Package(text(name), version, ecosystem="npm", build=commit)
            elif not _is_link(version):
                # Where it comes from stands in place of its version.
                yield Package(
                    text(name), None, ecosystem="npm", build=commit_of(version)
                )


def _is_link(version: str) -> bool:
    archives = (".tgz", ".tar.gz", ".tar")
    return version.startswith("file:") and not version.endswith(archives)
