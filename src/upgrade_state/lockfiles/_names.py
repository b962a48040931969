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

# A name, or a pattern with one "*" that stands for at least one character.
# The first that fits wins.
_PATTERNS = {
    # Whatever people call what pip-compile and others write. They may as well
    # be lists of wishes, but then they are opaque and no harm is done.
    "*-requirements.txt": "requirements",
    "*.conda-lock.yaml": "conda-lock",
    "*.conda-lock.yml": "conda-lock",
    "Cargo.lock": "cargo",
    "Pipfile.lock": "pipfile",
    "conan.lock": "conan",
    "conda-*.lock": "conda-explicit",
    "conda-lock.yaml": "conda-lock",
    "conda-lock.yml": "conda-lock",
    "devbox.lock": "devbox",
    "devenv.lock": "devenv",
    "flake.lock": "flake",
    "manifest.lock": "flox",
    "mise.*.lock": "mise",
    "mise.lock": "mise",
    "npm-shrinkwrap.json": "npm",
    "package-lock.json": "npm",
    "pdm.lock": "pdm",
    "pixi.lock": "pixi",
    "poetry.lock": "poetry",
    "pylock.*.toml": "pylock",
    "pylock.toml": "pylock",
    "requirements-*.txt": "requirements",
    "requirements.txt": "requirements",
    "spack.lock": "spack",
    "uv.lock": "uv",
}


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
    return _look_up(name.rpartition("/")[2], _PATTERNS)


def _look_up(name: str, patterns: dict[str, str]) -> str | None:
    for pattern, found in patterns.items():
        if _fits(name, pattern):
            return found
    return None


def _fits(name: str, pattern: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return name == pattern
    # The length keeps "pylock.toml" from being its own head and tail.
    return (
        name.startswith(head)
        and name.endswith(tail)
        and len(name) > len(head) + len(tail)
    )
