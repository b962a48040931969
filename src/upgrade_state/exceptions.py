"""
The errors of this library: one family, each with a message and a path.

* UpgradeStateError: the one to catch
    - StateReadError: something exists, but cannot be read or is not to be believed
    - StateWriteError: nothing was written; the previous contents are in place
    - StateLockError: a lock was held for too long, or the system refused it
    - ResolverError: a resolver gave no new lockfile

A lock that is busy is an answer and no error. Mistakes of the caller are
TypeError, ValueError and RuntimeError, as everywhere in Python.
"""


class UpgradeStateError(Exception):
    """
    Base class of everything that can go wrong outside of the caller.

    Attributes:
        message: What did not work and why, without the path.

        path: The file or directory in question, as text; None where the
            trouble is that no path could be determined.
    """

    def __init__(self, message: str, path: "str | None") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        """
        Say what did not work, then the path, as one line fit for a terminal.
        """
        from upgrade_state._redact import clean

        if self.path is None:
            return clean(self.message)
        return clean(f"{self.message}: '{self.path}'")


class StateReadError(UpgradeStateError):
    """
    Something exists, but cannot be read or is not to be believed.

    Nothing has been changed.
    """


class StateWriteError(UpgradeStateError):
    """
    Something could not be written.

    The previous contents are still in place, and no temporary file is left.
    """


class StateLockError(UpgradeStateError):
    """
    A lock was held by another process for too long, or the system refused it.

    Nothing has been changed.
    """


class ResolverError(UpgradeStateError):
    """
    A resolver gave no new lockfile.

    *path* is the directory of the environment. What an earlier check found
    stays; the failure is remembered where it leaves a check.
    """
