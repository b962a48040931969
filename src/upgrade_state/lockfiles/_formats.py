"""
The formats: the reader of each, and the rules by which it is compared.

To add a format, write a reader in the module of its family, add a line here,
and add the format and its file names to `_names`.
"""

from importlib import import_module

from attrs import frozen

from ._model import Reader


@frozen(kw_only=True)
class Format:
    """
    The reader of one format, and the rules of its comparison.

    Attributes:
        reader: ``module:function`` in this package, imported on first use.

        first_wins:
            Of several entries for one package and platform only the first
            counts. False: they form a set.

        build_decides:
            A package has changed only if its build is known on both sides
            and differs, whatever the versions are.

        skips_mark:
            A tool that uses the lockfile reads it with a byte order mark, too.
            False: every tool refuses that, so the lockfile is of no use to it.
    """

    reader: str
    first_wins: bool = False
    build_decides: bool = False
    skips_mark: bool = False


FORMATS = {
    "cargo": Format(reader="_cargo:cargo", skips_mark=True),
    "conan": Format(reader="_conan:conan"),
    "conda-explicit": Format(reader="_conda:conda_explicit"),
    "conda-list": Format(reader="_conda:conda_list"),
    "conda-lock": Format(reader="_conda:conda_lock", skips_mark=True),
    "devbox": Format(reader="_nix:devbox"),
    "devenv": Format(reader="_nix:flake", skips_mark=True),
    "flake": Format(reader="_nix:flake", skips_mark=True),
    # Both rules are those of `flox upgrade`, which compares derivations.
    "flox": Format(reader="_nix:flox", first_wins=True, build_decides=True),
    "mise": Format(reader="_tools:mise", skips_mark=True),
    "niv": Format(reader="_nix:niv"),
    "npins": Format(reader="_nix:npins"),
    "npm": Format(reader="_npm:npm", skips_mark=True),
    "pdm": Format(reader="_python:pdm"),
    "pipfile": Format(reader="_python:pipfile", skips_mark=True),
    "pixi": Format(reader="_pixi:pixi"),
    "poetry": Format(reader="_python:poetry"),
    "pylock": Format(reader="_python:pylock", skips_mark=True),
    "renv": Format(reader="_renv:renv", skips_mark=True),
    "requirements": Format(reader="_requirements:requirements", skips_mark=True),
    "spack": Format(reader="_tools:spack"),
    "uv": Format(reader="_python:uv", skips_mark=True),
}


def reader_of(name: str) -> Reader:
    """
    Import the reader of the format *name*, built-in or installed.

    A built-in format takes precedence over an installed reader of its name.

    Raises:
        ValueError: There is no such format, or its reader cannot be loaded.
    """
    if name in FORMATS:
        module, _, function = FORMATS[name].reader.partition(":")
        built_in: Reader
        built_in = getattr(import_module(f".{module}", __package__), function)
        return built_in
    from . import _third_party  # noqa: PLC0415 -- scans installed distributions

    reader = _third_party.reader_of(name)
    if reader is None:
        choices = ", ".join(sorted(FORMATS.keys() | _third_party.names()))
        raise ValueError(f"Unknown format {name!r}, choose from: {choices}")
    return reader
