"""
Requirements files, if they are lockfiles.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator

from ._model import Package
from ._parse import UnreadableError, commit_of, load_text, refuse
from ._python import ARCHIVES, is_directory, normalize_name

# Lines may be hostile: the time of these patterns grows with the length of a
# line, not with its square.
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile("[A-Za-z0-9][A-Za-z0-9._+!-]*")
_PINNED = re.compile(
    rf"""({_NAME.pattern}) \s* (?: \[[^\]]*\] \s* )?
    (?: ={{2,3}} \s* ({_VERSION.pattern}) \s* (?: ;.* )?
      | @ \s* (\S+) (?: \s+ ;.* )? )""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_INCLUDE = re.compile("-r|--requirement")
_EDITABLE = re.compile(r"(?:-e|--editable\b)[\s=]*")
_OPTIONS = re.compile(r"\s-")
_EGG = re.compile(f"[#&]egg=({_NAME.pattern})")
_HASH = re.compile("(?:[#&]|--hash[ =])(sha256[=:][0-9a-f]{64})")
# The end of an incomplete file. Hashes are most of a file.
_CUT_OFF = re.compile(r"(?:\\|--hash=sha256:[0-9a-f]{0,63})\s*\Z")
_REPOSITORY = re.compile(r"(?:git|hg|svn|bzr)\+")


def requirements(content: bytes) -> list[Package]:
    """
    Read ``requirements.txt``, if everything in it is pinned.

    A file is no lockfile if any of its requirements could be resolved to
    another package while the file stays the same, if it includes other
    files, or if it requires nothing. As in pip, a byte order mark is skipped.
    Constraints and other options add no package. Variables are not expanded.
    """
    document = load_text(_as_utf_8(content))
    if _CUT_OFF.search(document[-200:]):
        raise UnreadableError("cut off")
    packages = [package for package in map(_package, _lines(document)) if package]
    if not packages:
        raise UnreadableError("not pinned")
    return packages


def _as_utf_8(content: bytes) -> bytes:
    """
    Return *content* in UTF-8, without its byte order mark.

    PowerShell writes ``pip freeze > requirements.txt`` in UTF-16.
    """
    if not content.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
        return content.removeprefix(BOM_UTF8)
    refuse(content)
    try:
        return content.decode("utf-16").encode()
    except UnicodeDecodeError:
        raise UnreadableError("not valid UTF-16") from None


def _lines(content: str) -> Iterator[str]:
    """
    Yield lines as pip joins them, without comments.
    """
    pending = []
    for line in content.splitlines():
        # A comment line ends a continued line, and is not continued itself.
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending.append(line.strip("\\"))
            continue
        separator = " " if line.startswith("#") else ""
        yield _COMMENT.sub("", "".join([*pending, separator, line])).strip()
        pending = []


def _package(line: str) -> Package | None:
    """
    Return the package of one line; None: the line requires nothing.
    """
    if _INCLUDE.match(line):
        raise UnreadableError("includes other files")
    editable = _EDITABLE.match(line)
    if not line or (line.startswith("-") and not editable):
        return None
    requirement = line[editable.end() :] if editable else line
    requirement = _OPTIONS.split(requirement, maxsplit=1)[0].strip()
    pinned = _PINNED.fullmatch(requirement)
    name, version, location = pinned.groups() if pinned else (None, None, requirement)
    if version:
        return Package(normalize_name(name), version, ecosystem="pypi")
    location = location.partition(" ")[0]
    if not (editable or "/" in location or location.startswith(".")):
        raise UnreadableError("not pinned")
    return _package_at(name, location, line)


def _package_at(name: str | None, location: str, line: str) -> Package | None:
    """
    Return the package at a URL or path, without the URL or path itself.

    None: a directory whose name is only in its own files. It is local, so no
    upgrade replaces it.
    """
    path, _, fragment = location.partition("#")
    if path.endswith("]"):  # extras
        path = path.rpartition("[")[0]
    egg = _EGG.search(f"#{fragment}")
    name = name or (egg[1] if egg else None)
    version = build = None
    is_local = False
    if _REPOSITORY.match(path):
        build = commit_of(path.rpartition("@")[2])
        if build is None:  # a branch or tag, which can move
            raise UnreadableError("not pinned")
    elif is_directory(path):
        if name is None:
            return None
        is_local = True
    else:
        stated, version = _name_and_version(path)
        name = name or stated
        if stated and normalize_name(stated) != normalize_name(name):
            version = None
        hashes = (hash_.replace("=", ":") for hash_ in _HASH.findall(line))
        build = min(hashes, default=None)
    if name is None:
        raise UnreadableError("has a requirement without a name")
    return Package(
        normalize_name(name), version, ecosystem="pypi", build=build, local=is_local
    )


def _name_and_version(path: str) -> tuple[str, str] | tuple[None, None]:
    """
    Return name and version in the file name of a wheel or source distribution.
    """
    file = path.partition("?")[0].rpartition("/")[2].replace("%2B", "+")
    ending = next(filter(file.lower().endswith, ARCHIVES), "")
    stem = file[: -len(ending)] if ending else ""
    if ending == ".whl":
        name, _, rest = stem.partition("-")
        version = rest.partition("-")[0]
    else:
        name, _, version = stem.rpartition("-")
    if _NAME.fullmatch(name) and _VERSION.fullmatch(version):
        return name, version
    return None, None
