"""
Lockfiles of conda and of what builds on it.

The build of a conda package is its build string, so that another archive
format of one build, another channel or a mirror is no rebuild.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from ._model import Package
from ._parse import (
    Table,
    commit_of,
    demand_version,
    load_json,
    load_text,
    load_yaml,
    optional_text,
    table,
    tables,
    text,
)

# What names, versions and builds consist of. Anything else in a file name
# is part of something else, such as the password of a URL without a path.
_ARCHIVE = re.compile(
    r"([\w.+-]+)-([\w.!+]+)-([\w.+]+)\.(?:conda|tar\.bz2)", flags=re.ASCII
)
_SUBDIR = re.compile(r"(?:emscripten|freebsd|linux|osx|wasi|win|zos)-\w+")
_HASH = re.compile(r"(?:[0-9a-f]{32}|(?:sha256:)?[0-9a-f]{64})?")

_PIP_VERSION = re.compile(r"\d[\w.!+]*", flags=re.ASCII)

_ECOSYSTEMS = {"conda": "conda", "pip": "pypi"}


def conda_list(content: bytes) -> Iterator[Package]:
    """
    Read what ``conda list --json`` prints.

    The list is of one environment, so of one platform. It says the subdir of
    each package instead, and a package may well move to ``noarch``.
    """
    entries = tables(load_json(content))
    if not entries:
        # Nothing here says what it is, and all packages would be removed.
        raise ValueError("an empty list")
    for entry in entries:
        channel = text(entry["channel"])
        build = optional_text(entry["build_string"])
        is_conda = channel not in {"pypi", "<develop>"}
        yield Package(
            text(entry["name"]),
            text(entry["version"]),
            ecosystem="conda" if is_conda else "pypi",
            build=build if is_conda else None,
            local=channel == "<develop>",
        )


def conda_explicit(content: bytes) -> Iterator[Package]:
    """
    Read a list of URLs, as ``conda list --explicit`` prints it.

    Also what conda-lock renders, where packages from an index are comments.
    """
    lines = [line.strip() for line in load_text(content).splitlines()]
    lines.remove("@EXPLICIT")
    urls = [line for line in lines if line and not line.startswith("#")]
    platform = _platform(lines, urls)
    for url in urls:
        location, _, checksum = url.partition("#")
        archive = archive_of(location)
        if archive is None or not _HASH.fullmatch(checksum):
            raise ValueError("no URL of a package")
        name, version, build = archive
        yield Package(name, version, ecosystem="conda", platform=platform, build=build)
    for line in lines:
        if line.startswith("# pip ") and " @ " in line:
            yield _pip(line.removeprefix("# pip "), platform)


def conda_lock(content: bytes) -> Iterator[Package]:
    """
    Read ``conda-lock.yml``.

    A package is listed once per category that needs it.
    """
    document = table(load_yaml(content))
    demand_version(document["version"], "1")
    table(document["metadata"])
    for entry in tables(document["package"]):
        yield Package(
            text(entry["name"]),
            text(entry["version"]),
            ecosystem=_ECOSYSTEMS[text(entry["manager"])],
            platform=text(entry["platform"]),
            build=_build(entry),
        )


def archive_of(location: str) -> tuple[str, str, str] | None:
    """
    Return name, version and build of the conda archive at *location*.
    """
    found = _ARCHIVE.fullmatch(_file_name(location))
    return None if found is None else (found[1], found[2], found[3])


def git_commit(location: str) -> str | None:
    """
    Return the commit of a *location* in a git repository.

    pip has it behind an @, uv and pixi behind a #.
    """
    if not location.startswith("git+"):
        return None
    return commit_of(location.partition("#subdirectory=")[0].replace("@", "#"))


def _file_name(location: str) -> str:
    path = location.partition("#")[0].replace("\\", "/")
    name = path.rpartition("/")[2]
    return unquote(name) if "%" in name else name


def _platform(lines: list[str], urls: list[str]) -> str | None:
    """
    Return the one platform of a list of URLs; None: nothing says it.

    The comment is of use to people only, so not everybody writes it. The
    subdirs of the URLs are the same word.
    """
    comments = [line for line in lines if line.startswith("# platform: ")]
    if comments:
        return text(comments[0].removeprefix("# platform: "))
    subdirs = {url.rpartition("/")[0].rpartition("/")[2] for url in urls}
    platforms = list(filter(_SUBDIR.fullmatch, subdirs))
    return platforms[0] if len(platforms) == 1 else None


def _pip(requirement: str, platform: str | None) -> Package:
    name, _, url = requirement.partition(" @ ")
    return Package(
        text(name.strip()),
        _pip_version(_file_name(url)),
        ecosystem="pypi",
        platform=platform,
        build=git_commit(url),
    )


def _pip_version(file_name: str) -> str | None:
    """
    Return the version of a wheel or a source archive.
    """
    if file_name.endswith(".whl"):
        version = file_name.partition("-")[2].partition("-")[0]
    else:
        stem = file_name.removesuffix(".zip").removesuffix(".tar.gz")
        version = "" if stem == file_name else stem.rpartition("-")[2]
    return version if _PIP_VERSION.fullmatch(version) else None


def _build(entry: Table) -> str | None:
    url = text(entry["url"])
    if entry["manager"] == "pip":
        return git_commit(url)
    # The field is left out as a rule, or is null, which is a text here.
    archive = archive_of(url)
    return archive[2] if archive else optional_text(entry.get("build")) or None
