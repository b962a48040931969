"""
List the formats, and tell that of a lockfile by its name.

To add a format, write a reader in the module of its family, and add the format
and its file names here. Activations import this module, so it imports nothing.
"""

# For each format the reader and the names of its lockfiles.
#
# The reader is the module in this package, the syntax, and flags. The function
# that reads it is called like the format.
#
# mark: a tool that uses the lockfile skips a byte order mark, so `read` does, too.
# builds: as for `flox upgrade`, a package has changed if its build has, and of
# several entries for one package and platform the first counts.
#
# In a name, a star is one character or more. If several patterns match, the last
# one counts.
_FORMATS = {
    "cargo": ("_cargo toml mark", "Cargo.lock"),
    "conan": ("_conan json", "conan.lock"),
    "conda-explicit": ("_conda text", "conda-*.lock"),
    "conda-list": ("_conda json", ""),
    "conda-lock": (
        "_conda yaml mark",
        "conda-lock.yaml conda-lock.yml *.conda-lock.yaml *.conda-lock.yml",
    ),
    "devbox": ("_nix json", "devbox.lock"),
    "devenv": ("_nix json mark", "devenv.lock"),
    "flake": ("_nix json mark", "flake.lock"),
    "flox": ("_nix json builds", "manifest.lock .flox/env/manifest.lock"),
    "mise": ("_tools toml mark", "mise.lock mise.*.lock"),
    "niv": ("_nix json", "nix/sources.json"),
    "npins": ("_nix json", "npins/sources.json"),
    "npm": ("_npm json mark", "package-lock.json npm-shrinkwrap.json"),
    "pdm": ("_python toml", "pdm.lock pdm.*.lock"),
    "pipfile": ("_python json mark", "Pipfile.lock"),
    "pixi": ("_pixi yaml", "pixi.lock"),
    "poetry": ("_python toml", "poetry.lock"),
    "pylock": ("_python toml mark", "pylock.toml pylock.*.toml"),
    "renv": ("_renv json mark", "renv.lock"),
    # Usual names for the output of pip-compile. A file that is not pinned is
    # opaque, so a wrong guess does no harm.
    "requirements": (
        "_requirements requirements mark",
        (
            "requirements.txt requirements*.txt *requirements.txt requirements.lock"
            " requirements*.lock *requirements.lock"
        ),
    ),
    "spack": ("_tools json", "spack.lock"),
    # uv names the lockfile of a script after the whole name of the script.
    "uv": ("_python toml mark", "uv.lock *.py.lock"),
}

READERS = {name: reader for name, (reader, _) in _FORMATS.items()}

FORMATS = tuple(READERS)
"""The names of all built-in formats, sorted."""

_ALL = {name: key for key, (_, names) in _FORMATS.items() for name in names.split()}
_NAMES = {name: key for name, key in _ALL.items() if "*" not in name}
_PATTERNS = [(*name.split("*"), key) for name, key in _ALL.items() if "*" in name][::-1]
# One `endswith` rules out most files of a directory.
_ENDS = tuple(end for _, end, _ in _PATTERNS)


def names() -> tuple[str, ...]:
    """
    Return the file names that tell a format, sorted, without those of patterns.

    Some are paths, such as ``npins/sources.json``. `format_of` knows further
    names, such as ``pylock.dev.toml``. The names cost no import.
    """
    return tuple(sorted(_NAMES))


def format_of(name: str) -> str | None:
    """
    Return the format of a lockfile called *name*.

    No file is opened, and nothing is imported.

    Args:
        name:
            Name of the lockfile, or a path with ``/``. The directory counts
            if the last component alone tells no format, as for
            ``requirements/dev.txt``. Upper and lower case differ.

    Returns:
        One of `FORMATS`; None if the name tells no format. Formats of installed
        readers have no names of files.
    """
    path, _, name = name.rpartition("/")
    directory = path.rpartition("/")[2]
    known = _NAMES.get(f"{directory}/{name}") or _NAMES.get(name)
    if known or not name.endswith(_ENDS):
        return known
    for start, end, format_ in _PATTERNS:
        is_longer = len(name) > len(start) + len(end)
        if is_longer and name.startswith(start) and name.endswith(end):
            return format_
    is_listed = directory == "requirements" and name.endswith((".txt", ".lock"))
    return "requirements" if is_listed else None


def is_format(name: str) -> bool:
    """
    Return whether `read` accepts *name* as a format.

    A built-in format costs no import. For any other name, the installed
    reader of that name is loaded, which runs its distribution's code.

    Returns:
        True for one of `FORMATS` and the name of an installed `Reader`. False if
        there is no such reader, or if it cannot be loaded; `read` then raises
        a ValueError with the reason.
    """
    if name in FORMATS:
        return True
    from ._third_party import reader_of  # noqa: PLC0415 -- imports attrs

    try:
        return reader_of(name) is not None
    except ValueError:
        return False
