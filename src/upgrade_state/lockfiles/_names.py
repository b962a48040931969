"""
Tell the format of a lockfile by the lockfile's name.

Activations import this module, so it imports nothing at module level.
"""

FORMATS: tuple[str, ...] = (
    "cargo",
    "conan",
    "conda-explicit",
    "conda-list",
    "conda-lock",
    "devbox",
    "devenv",
    "flake",
    "flox",
    "mise",
    "niv",
    "npins",
    "npm",
    "pdm",
    "pipfile",
    "pixi",
    "poetry",
    "pylock",
    "renv",
    "requirements",
    "spack",
    "uv",
)
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

NAMES = tuple(_NAMES)

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
    return NAMES


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
        One of `FORMATS`. None: the name tells no format. Formats of installed
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
        True: one of `FORMATS`, or the name of an installed `Reader`. False:
        there is no such reader, or it cannot be loaded; `read` then raises
        a ValueError with the reason.
    """
    if name in FORMATS:
        return True
    from ._formats import reader_of  # noqa: PLC0415 -- imports attrs

    try:
        reader_of(name)
    except ValueError:
        return False
    return True
