"""
List the formats, and tell that of a lockfile by its name.

To add a format, write a reader in the module of its family, and add the format
and its file names here. Activations import this module, so it imports nothing.
"""

# For each format the module in this package, the syntax, and flags. The function
# that reads it is called like the format.
#
# mark: a tool that uses the lockfile skips a byte order mark, so `read` does, too.
# builds: as for `flox upgrade`, a package has changed if its build has, and of
# several entries for one package and platform the first counts.
READERS = {
    "cargo": "_cargo toml mark",
    "conan": "_conan json",
    "conda-explicit": "_conda text",
    "conda-list": "_conda json",
    "conda-lock": "_conda yaml mark",
    "devbox": "_nix json",
    "devenv": "_nix json mark",
    "flake": "_nix json mark",
    "flox": "_nix json builds",
    "mise": "_tools toml mark",
    "niv": "_nix json",
    "npins": "_nix json",
    "npm": "_npm json mark",
    "pdm": "_python toml",
    "pipfile": "_python json mark",
    "pixi": "_pixi yaml",
    "poetry": "_python toml",
    "pylock": "_python toml mark",
    "renv": "_renv json mark",
    "requirements": "_requirements requirements mark",
    "spack": "_tools json",
    "uv": "_python toml mark",
}

FORMATS = tuple(READERS)
"""The names of all built-in formats, sorted."""

_NAMES = {
    ".flox/env/manifest.lock": "flox",
    "Cargo.lock": "cargo",
    "Pipfile.lock": "pipfile",
    "conan.lock": "conan",
    "conda-lock.yaml": "conda-lock",
    "conda-lock.yml": "conda-lock",
    "devbox.lock": "devbox",
    "devenv.lock": "devenv",
    "flake.lock": "flake",
    "manifest.lock": "flox",
    "mise.lock": "mise",
    "nix/sources.json": "niv",
    "npins/sources.json": "npins",
    "npm-shrinkwrap.json": "npm",
    "package-lock.json": "npm",
    "pdm.lock": "pdm",
    "pixi.lock": "pixi",
    "poetry.lock": "poetry",
    "pylock.toml": "pylock",
    "renv.lock": "renv",
    "requirements.lock": "requirements",
    "requirements.txt": "requirements",
    "spack.lock": "spack",
    "uv.lock": "uv",
}

# End and beginning, with at least one character between them. The ends come
# first: one `endswith` rules out most files of a directory.
_PATTERNS = {
    # Usual names for the output of pip-compile. A file that is not pinned
    # is opaque, so a wrong guess does no harm.
    ("requirements.txt", ""): "requirements",
    ("requirements.lock", ""): "requirements",
    (".txt", "requirements"): "requirements",
    (".lock", "requirements"): "requirements",
    (".conda-lock.yaml", ""): "conda-lock",
    (".conda-lock.yml", ""): "conda-lock",
    (".lock", "conda-"): "conda-explicit",
    (".lock", "mise."): "mise",
    (".lock", "pdm."): "pdm",
    # uv names the lockfile of a script after the whole name of the script.
    (".py.lock", ""): "uv",
    (".toml", "pylock."): "pylock",
}
_ENDS = tuple(end for end, _ in _PATTERNS)


def names() -> tuple[str, ...]:
    """
    Return the file names that tell a format, sorted, without those of patterns.

    Some are paths, such as ``npins/sources.json``. `format_of` knows further
    names, such as ``pylock.dev.toml``. The names cost no import.
    """
    return tuple(_NAMES)


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
    for (end, start), format_ in _PATTERNS.items():
        # The length keeps "pylock.toml" from being its own start and end.
        is_between = len(name) > len(start) + len(end)
        if is_between and name.startswith(start) and name.endswith(end):
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
