"""
Requirements files of pip and of all that write them, where they are lockfiles.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator

from ._model import Package
from ._parse import UnreadableError, commit_of, load_text, refuse
from ._python import ARCHIVES, is_directory, normalized

# Patterns take a time that grows with the length of the line, not with its
# square: lines may be hostile.
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
# The end of a file of which a part is missing. Most of it are hashes.
_CUT_OFF = re.compile(r"(?:\\|--hash=sha256:[0-9a-f]{0,63})\s*\Z")
_REPOSITORY = re.compile(r"(?:git|hg|svn|bzr)\+")


def requirements(content: bytes) -> list[Package]:
    """
    Read ``requirements.txt``, if everything in it is pinned.

    People write such files as well, to say what they want rather than what
    they have got. A file is no lockfile if any of its requirements can become
    another package while the file stays as it is, if it includes others, or
    if it requires nothing. pip takes a byte order mark for nothing, and so do
    we. Constraints and other options add no package; variables are not
    replaced.
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
    Return *content* without its byte order mark.

    One of UTF-16 is what PowerShell makes of ``pip freeze > requirements.txt``.
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
        # A line of nothing but a comment continues, but is not continued.
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            pending.append(line.strip("\\"))
            continue
        separator = " " if line.startswith("#") else ""
        yield _COMMENT.sub("", "".join([*pending, separator, line])).strip()
        pending = []


def _package(line: str) -> Package | None:
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
        return Package(normalized(name), version, ecosystem="pypi")
    location = location.partition(" ")[0]
    if not (editable or "/" in location or location.startswith(".")):
        raise UnreadableError("not pinned")
    return _located(name, location, line)


def _located(name: str | None, location: str, line: str) -> Package | None:
    """
    Return what comes from a URL or path, which itself goes no further.

    None: a directory that says its name in its own files only. It is local,
    so no upgrade replaces it.
    """
    path, _, fragment = location.partition("#")
    if path.endswith("]"):  # extras
        path = path.rpartition("[")[0]
    egg = _EGG.search(f"#{fragment}")
    name = name or (egg[1] if egg else None)
    if _REPOSITORY.match(path):
        return _from_repository(name, path)
    if not is_directory(path):
        return _from_archive(name, path, line)
    if name is None:
        return None
    return Package(normalized(name), None, ecosystem="pypi", local=True)


def _from_repository(name: str | None, path: str) -> Package:
    commit = commit_of(path.rpartition("@")[2])
    if commit is None:  # a branch, or whatever is newest
        raise UnreadableError("not pinned")
    return Package(_known(name), None, ecosystem="pypi", build=commit)


def _from_archive(name: str | None, path: str, line: str) -> Package:
    hashes = (found.replace("=", ":") for found in _HASH.findall(line))
    said, version = _name_and_version(path)
    name = _known(name or said)
    return Package(
        name,
        version if said and normalized(said) == name else None,
        ecosystem="pypi",
        build=min(hashes, default=None),
    )


def _known(name: str | None) -> str:
    if name is None:
        raise UnreadableError("has a requirement without a name")
    return normalized(name)


def _name_and_version(path: str) -> tuple[str, str] | tuple[None, None]:
    """
    Return what the name of a wheel or source distribution says.
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
