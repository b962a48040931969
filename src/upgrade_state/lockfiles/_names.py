"""
Which format a lockfile has, told by its name.

An activation may ask this, so nothing is imported here.
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
    "npm",
    "pdm",
    "pipfile",
    "pixi",
    "poetry",
    "pylock",
    "requirements",
    "spack",
    "uv",
)
"""The names of all formats that can be read, sorted."""

_NAMES = {
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
    "npm-shrinkwrap.json": "npm",
    "package-lock.json": "npm",
    "pdm.lock": "pdm",
    "pixi.lock": "pixi",
    "poetry.lock": "poetry",
    "pylock.toml": "pylock",
    "requirements.txt": "requirements",
    "spack.lock": "spack",
    "uv.lock": "uv",
}

NAMES = tuple(_NAMES)
"""The names that stand for themselves, without those of patterns."""

# Beginning and end; between them is at least one character. A directory may
# have many files: the ends come first, to be asked for all at once.
_PATTERNS = {
    # Whatever people call what pip-compile and others write. They may as well
    # be lists of wishes, but then they are opaque and no harm is done.
    ("-requirements.txt", ""): "requirements",
    (".txt", "requirements-"): "requirements",
    (".conda-lock.yaml", ""): "conda-lock",
    (".conda-lock.yml", ""): "conda-lock",
    (".lock", "conda-"): "conda-explicit",
    (".lock", "mise."): "mise",
    (".toml", "pylock."): "pylock",
}
_ENDS = tuple(end for end, _ in _PATTERNS)


def format_of(name: str) -> str | None:
    """
    Return the format of a lockfile called *name*.

    Args:
        name:
            Name of the lockfile, or a path with ``/`` of which only the last
            component counts.

    Returns:
        One of `FORMATS`; None: not known by its name, so its content is
        opaque unless the caller knows better.
    """
    name = name.rpartition("/")[2]
    found = _NAMES.get(name)
    return _by_pattern(name) if found is None and name.endswith(_ENDS) else found


def _by_pattern(name: str) -> str | None:
    for (end, start), found in _PATTERNS.items():
        # The length keeps "pylock.toml" from being its own start and end.
        is_between = len(name) > len(start) + len(end)
        if is_between and name.startswith(start) and name.endswith(end):
            return found
    return None
