"""
Lockfiles of conda, and of tools that build on it.

The build of a conda package is its build string: another archive format of
one build, another channel or a mirror is no rebuild.
"""

import re
from urllib.parse import unquote

from ._model import Document, Packages, make_package
from ._parse import commit_of, demand_version, optional_text, table, tables, text
from ._requirements import name_and_version

# The characters of names, versions and builds. Any other character in a file
# name belongs to something else, such as the password of a URL without a path.
_ARCHIVE = re.compile(
    r"([\w.+-]+)-([\w.!+]+)-([\w.+]+)\.(?:conda|tar\.bz2)", flags=re.ASCII
)
_SUBDIR = re.compile(r"(?:emscripten|freebsd|linux|osx|wasi|win|zos)-\w+")
_HASH = re.compile(r"(?:[0-9a-f]{32}|(?:sha256:)?[0-9a-f]{64})?")

# By manager. conda also reads files in which pip is called by its index.
_ECOSYSTEMS = {"conda": "conda", "pip": "pypi", "pypi": "pypi"}


def conda_list(document: Document) -> Packages:
    """
    Read the output of ``conda list --json``.

    The list is of one environment, so of one platform. Its field ``platform``
    is the subdir of each package, which may change to ``noarch`` and back, so
    packages have no platform here.
    """
    entries = tables(document)
    if not entries:
        # An empty list has no mark of the format; as a lockfile it would
        # report all packages as removed.
        raise ValueError("an empty list")
    for entry in entries:
        channel = text(entry["channel"])
        build = optional_text(entry["build_string"])
        is_conda = channel not in {"pypi", "<develop>"}
        yield make_package(
            text(entry["name"]),
            text(entry["version"]),
            ecosystem="conda" if is_conda else "pypi",
            build=build if is_conda else None,
            local=channel == "<develop>",
        )


def conda_explicit(document: str) -> Packages:
    """
    Read a list of URLs, as ``conda list --explicit`` prints it.

    Also reads the files that ``conda-lock render`` writes, in which packages
    from PyPI are comments.
    """
    lines = [line.strip() for line in document.splitlines()]
    lines.remove("@EXPLICIT")
    urls = [line for line in lines if line and not line.startswith("#")]
    platform = _platform(lines, urls)
    for url in urls:
        location, _, checksum = url.partition("#")
        archive = archive_of(location)
        if archive is None or not _HASH.fullmatch(checksum):
            raise ValueError("no URL of a package")
        name, version, build = archive
        yield make_package(
            name, version, ecosystem="conda", platform=platform, build=build
        )
    for line in lines:
        name, at, url = line.removeprefix("# pip").partition(" @ ")
        if at and line.startswith("# pip "):
            yield make_package(
                text(name.strip()),
                name_and_version(url.partition("#")[0])[1],
                ecosystem="pypi",
                platform=platform,
                build=git_commit(url),
            )


def conda_lock(document: Document) -> Packages:
    """
    Read ``conda-lock.yml``.

    A package is listed once per category that needs it.
    """
    demand_version(document["version"], "1")
    table(document["metadata"])
    for entry in tables(document["package"]):
        url = text(entry["url"])
        ecosystem = _ECOSYSTEMS[text(entry["manager"])]
        if ecosystem == "pypi":
            build = git_commit(url)
        elif archive := archive_of(url):
            build = archive[2]
        else:  # conda-lock leaves the field out, or writes null
            build = optional_text(entry.get("build")) or None
        yield make_package(
            text(entry["name"]),
            text(entry["version"]),
            ecosystem=ecosystem,
            platform=text(entry["platform"]),
            build=build,
        )


def archive_of(location: str) -> tuple[str, ...] | None:
    """
    Return name, version and build of the conda archive at *location*.

    The file name is ``NAME-VERSION-BUILD.conda`` or ``….tar.bz2``, split
    twice from the right. None: it is not.
    """
    path = location.partition("#")[0].replace("\\", "/")
    archive = _ARCHIVE.fullmatch(unquote(path.rpartition("/")[2]))
    return archive.groups() if archive else None


def git_commit(location: str) -> str | None:
    """
    Return the commit of a *location* in a git repository; None: it is none.

    pip writes the commit after an @, uv and pixi after a #.
    """
    if not location.startswith("git+"):
        return None
    return commit_of(location.partition("#subdirectory=")[0].replace("@", "#"))


def _platform(lines: list[str], urls: list[str]) -> str | None:
    """
    Return the one platform of a list of URLs; None: it is not known.

    conda ignores the comment with the platform, and not every tool writes it.
    The subdirs of the URLs are the same word.
    """
    comments = [line for line in lines if line.startswith("# platform: ")]
    if comments:
        return text(comments[0].removeprefix("# platform: "))
    subdirs = {url.rpartition("/")[0].rpartition("/")[2] for url in urls}
    platforms = list(filter(_SUBDIR.fullmatch, subdirs))
    return platforms[0] if len(platforms) == 1 else None
