"""
All that differs between formats: who reads them, and how they are compared.

A new format is a reader function in the module of its family, one line here,
and its name and file names in `_names`.
"""

from importlib import import_module

from attrs import frozen

from ._model import Reader


@frozen(kw_only=True)
class Format:
    """
    One format.

    Attributes:
        reader: ``module:function`` in this package, imported on use.

        first_wins:
            Of several entries for one package and platform only the first
            counts. Else they are a set.

        build_decides:
            A package has changed only where both sides know its build and
            the builds differ, whatever the versions say.
    """

    reader: str
    first_wins: bool = False
    build_decides: bool = False


FORMATS = {
    "cargo": Format(reader="_cargo:cargo"),
    "conan": Format(reader="_conan:conan"),
    "conda-explicit": Format(reader="_conda:conda_explicit"),
    "conda-list": Format(reader="_conda:conda_list"),
    "conda-lock": Format(reader="_conda:conda_lock"),
    "devbox": Format(reader="_nix:devbox"),
    "devenv": Format(reader="_nix:flake"),
    "flake": Format(reader="_nix:flake"),
    # Both rules are Flox's own: what counts is the derivation.
    "flox": Format(reader="_nix:flox", first_wins=True, build_decides=True),
    "mise": Format(reader="_tools:mise"),
    "npm": Format(reader="_npm:npm"),
    "pdm": Format(reader="_python:pdm"),
    "pipfile": Format(reader="_python:pipfile"),
    "pixi": Format(reader="_pixi:pixi"),
    "poetry": Format(reader="_python:poetry"),
    "pylock": Format(reader="_python:pylock"),
    "requirements": Format(reader="_requirements:requirements"),
    "spack": Format(reader="_tools:spack"),
    "uv": Format(reader="_python:uv"),
}


def reader_of(name: str) -> Reader:
    """
    Import the reader of the format *name*, ours or somebody else's.

    Raises:
        ValueError: There is no such format, or its reader cannot be loaded.
    """
    if name not in FORMATS:
        return _reader_of_others(name)
    module, _, function = FORMATS[name].reader.partition(":")
    reader: Reader = getattr(import_module(f".{module}", __package__), function)
    return reader


def _reader_of_others(name: str) -> Reader:
    from . import _third_party  # noqa: PLC0415 -- looks at all that is installed

    reader = _third_party.reader_of(name)
    if reader is None:
        choices = ", ".join(sorted(FORMATS.keys() | _third_party.names()))
        raise ValueError(f"Unknown format {name!r}, choose from: {choices}")
    return reader
