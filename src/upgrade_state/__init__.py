"""
Remember upgrade checks, their results, and when the user was notified.

Start with `StateStore.environment`, which returns the handle of one environment: an
`EnvironmentState`, which has all operations.
"""

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from upgrade_state import lockfiles
    from upgrade_state._environment import EnvironmentState, StateStore, preload
    from upgrade_state._guard import CheckGuard
    from upgrade_state._look import Look
    from upgrade_state._model import (
        CheckFailure,
        Consent,
        Counts,
        StoredFile,
        UpgradeInformation,
        UpgradeResult,
    )
    from upgrade_state._policy import Freshness, Verdict
    from upgrade_state.exceptions import UpgradeStateError

    __version__: str
else:
    _HOMES = {
        "CheckFailure": "_model",
        "CheckGuard": "_guard",
        "Consent": "_model",
        "Counts": "_model",
        "EnvironmentState": "_environment",
        "Freshness": "_policy",
        "Look": "_look",
        "StateStore": "_environment",
        "StoredFile": "_model",
        "UpgradeInformation": "_model",
        "UpgradeResult": "_model",
        "UpgradeStateError": "exceptions",
        "Verdict": "_policy",
        "preload": "_environment",
    }

    # Names are loaded on first use (PEP 562): a silent activation pays for nothing
    # else. Hidden from type checkers, so that a misspelt import is an error.
    def __getattr__(name):
        if name == "__version__":
            return _version()
        home = _HOMES.get(name)
        if home is None and name != "lockfiles":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if home is None:
            import upgrade_state.lockfiles as value
        else:
            module = __import__(f"{__name__}.{home}", fromlist=(name,))
            value = getattr(module, name)
        globals()[name] = value
        return value

    def _version():
        from importlib import metadata

        try:
            return metadata.version("upgrade-state")
        except metadata.PackageNotFoundError:  # in a source tree
            return "unknown"

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "CheckFailure",
    "CheckGuard",
    "Consent",
    "Counts",
    "EnvironmentState",
    "Freshness",
    "Look",
    "StateStore",
    "StoredFile",
    "UpgradeInformation",
    "UpgradeResult",
    "UpgradeStateError",
    "Verdict",
    "lockfiles",
    "preload",
]
