"""
Which environment variables a command gets: what tools need, and no secrets.

Everything else, credentials of other programs above all, has to be passed by
name, since a check can run code of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrade_state._search_paths import only_absolute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

USUAL: Final = (
    # Where commands and the shared libraries of some of them are.
    "PATH",
    "LD_LIBRARY_PATH",
    # Who the user is, and where the configuration, credentials and caches of
    # tools are.
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "NETRC",
    # How text and times are written.
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LOCALE_ARCHIVE",
    "TZ",
    "TZDIR",
    # How the network is reached, and what is trusted there.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    # How git reaches private repositories.
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
)

# A command runs among files that come from a directory one may have merely entered.
_LISTS: Final = ("PATH", "LD_LIBRARY_PATH")

# Messages are read where there are no colours, and nobody answers.
_SET: Final = {"TERM": "dumb", "NO_COLOR": "1"}


def checked_names(names: Iterable[str]) -> tuple[str, ...]:
    """
    Return *names* of variables; one that ends in ``*`` stands for several.

    Raises:
        TypeError: This is one text.
        ValueError: One of them is no name.
    """
    if isinstance(names, str):
        raise TypeError("names of variables must be a list, not one text")
    checked = tuple(names)
    for name in checked:
        stem = name.removesuffix("*")
        if not stem or set(stem) & set("=*\0"):
            raise ValueError(f"not the name of an environment variable: {name!r}")
    return checked


def selected(environ: Mapping[str, str], passes: Iterable[str]) -> dict[str, str]:
    """
    Return what a command gets of *environ*: the usual, and what *passes* names.

    And what is the same for all commands. Directories that are searched for
    programs are absolute ones.
    """
    names = (*USUAL, *passes)
    exact = set(names)
    stems = tuple(name[:-1] for name in names if name.endswith("*"))
    chosen = {
        name: value
        for name, value in environ.items()
        if name in exact or name.startswith(stems)
    }
    return only_absolute(chosen, _LISTS) | _SET
