"""
Select the environment variables of a command: those that tools need, no secrets.

All others, credentials of other programs above all, must be passed by name: a
check can run code of the project.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from upgrade_state import _programs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

# Directories of commands, and of the shared libraries of some of them. The user, and
# the directories of configuration, credentials and caches. Encodings and time zones.
# Proxies and trusted certificates. Access of git to private repositories.
USUAL: Final = re.findall(
    r"\S+",
    """
    PATH LD_LIBRARY_PATH
    HOME USER LOGNAME SHELL XDG_CONFIG_HOME XDG_CONFIG_DIRS XDG_CACHE_HOME
    XDG_DATA_HOME XDG_STATE_HOME NETRC
    LANG LANGUAGE LC_* LOCALE_ARCHIVE TZ TZDIR
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
    http_proxy https_proxy all_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO
    NIX_SSL_CERT_FILE NODE_EXTRA_CA_CERTS
    SSH_AUTH_SOCK GIT_SSH GIT_SSH_COMMAND GIT_CONFIG_GLOBAL
    """,
)

# Relative entries would lead into the scratch directory, to files of the project.
_SEARCH_PATHS: Final = ("PATH", "LD_LIBRARY_PATH")

# Messages are read where styles are not shown, and no terminal answers.
_SET: Final = {"TERM": "dumb", "NO_COLOR": "1"}


def selected(environ: Mapping[str, str], passes: Iterable[str]) -> dict[str, str]:
    """
    Return the variables of *environ* that are usual or named in *passes*.

    A name that ends in ``*`` stands for all with this beginning. Search paths
    keep their absolute entries only. ``TERM`` and ``NO_COLOR`` are set.
    """
    names = {*USUAL, *passes}
    stems = tuple(name[:-1] for name in names if name.endswith("*"))
    usable = _programs.variables(environ, _SEARCH_PATHS).items()
    return {k: v for k, v in usable if k in names or k.startswith(stems)} | _SET
