"""
Lockfiles of npm.
"""

from ._model import Document, Packages, make_package
from ._parse import Table, commit_of, demand_version, optional_text, table, text

_REQUIREMENTS = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
)
_ARCHIVES = (".tgz", ".tar.gz", ".tar")


def npm(document: Document) -> Packages:
    """
    Read ``package-lock.json`` or ``npm-shrinkwrap.json``.

    Checksums are no builds: npm rewrites them with better algorithms.
    """
    if not document.keys() & {"lockfileVersion", "packages"}:
        # npm before version 5 wrote no version, and later ones still read
        # such files. Without any package, nothing tells it from other JSON.
        if not (dependencies := table(document["dependencies"])):
            raise LookupError("no package")
        return _npm_tree(dependencies)
    demand_version(document["lockfileVersion"], 1, 2, 3)
    if document["lockfileVersion"] == 1:
        return _npm_tree(table(document.get("dependencies", {})))
    # Files of version 2 repeat the tree, for programs that know version 1.
    return _npm_paths(table(document["packages"]))


def _npm_paths(packages: Table) -> Packages:
    # The root, workspaces, and directories that are the target of a link.
    projects = {path for path in packages if "/node_modules/" not in f"/{path}"}
    direct = {
        name
        for path in projects
        for kind in _REQUIREMENTS
        for name in table(table(packages[path]).get(kind, {}))
    }
    for path, entry in packages.items():
        if path in projects or table(entry).get("link"):
            continue
        parent, _, name = path.rpartition("node_modules/")
        is_direct = name in direct and parent[:-1] in projects
        resolved = optional_text(entry.get("resolved") or None)
        yield make_package(
            # The directory of an alias has another name than the package.
            text(entry.get("name", name)),
            optional_text(entry.get("version")),
            ecosystem="npm",
            build=commit_of(resolved) if resolved and "#" in resolved else None,
            direct=is_direct if "" in projects else None,
        )


def _npm_tree(dependencies: Table) -> Packages:
    pending = [dependencies]
    while pending:
        for name, entry in pending.pop().items():
            if "dependencies" in table(entry):
                pending.append(table(entry["dependencies"]))
            version = text(entry["version"])
            if ":" not in version:
                # npm before version 5 wrote a commit beside the version. For a
                # package inside the archive of another one, npm wrote false.
                resolved = optional_text(entry.get("resolved") or None) or ""
                commit = commit_of(resolved) if resolved.startswith("git") else None
                yield make_package(text(name), version, ecosystem="npm", build=commit)
            elif version.startswith("npm:"):
                real, _, version = version[4:].rpartition("@")
                yield make_package(text(real), text(version), ecosystem="npm")
            elif not version.startswith("file:") or version.endswith(_ARCHIVES):
                # The version is a location. Other ``file:`` ones are links.
                commit = commit_of(version)
                yield make_package(text(name), None, ecosystem="npm", build=commit)
