"""
The errors of this library: one family, each with a message and a path.

* `UpgradeStateError`: the one to catch

  - `StateReadError`: something exists, but cannot be read or is not trusted
  - `StateWriteError`: nothing was written; the previous content is in place
  - `StateLockError`: a lock was held for too long, or the system refused it
  - `ResolverError`: a resolver gave no new lockfile

No OSError, and no error of filelock, cattrs or json, leaves the public modules.
A busy lock is an answer, not an error. Errors of the caller are TypeError,
ValueError and RuntimeError, as everywhere in Python.
"""


class UpgradeStateError(Exception):
    """
    Base class of all errors that are not errors of the caller.

    Attributes:
        message: The failed action and its cause, without the path.

        path: The file or directory concerned, as text; None if no path could be
            determined.
    """

    def __init__(self, message: str, path: "str | None") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        """
        Return the message and the path as one line, safe for a terminal.
        """
        from upgrade_state._redact import clean

        if self.path is None:
            return clean(self.message)
        return clean(f"{self.message}: '{self.path}'")


class StateReadError(UpgradeStateError):
    """
    Something exists, but cannot be read or is not trusted.

    Nothing has been changed.
    """


class StateWriteError(UpgradeStateError):
    """
    Something could not be written.

    The previous content is still in place, and no temporary file is left.
    """


class StateLockError(UpgradeStateError):
    """
    A lock was held by another process for too long, or the system refused it.

    Nothing has been changed.
    """


class ResolverError(UpgradeStateError):
    """
    A resolver gave no new lockfile.

    *path* is the directory of the environment. The result of an earlier check
    stays; the failure is recorded if this error leaves a check. A resolver of
    your own may pass all three attributes.

    Attributes:
        output: The last lines of a tool that failed, as it wrote them, but safe
            for a terminal and without URLs. Empty if there are none.

        summary: The message without the words of the tool, and without the hint.

        hint: The advice at the end of the message; None if there is none.
    """

    def __init__(
        self,
        message: str,
        path: "str | None",
        *,
        output: "tuple[str, ...]" = (),
        summary: "str | None" = None,
        hint: "str | None" = None,
    ) -> None:
        super().__init__(message, path)
        self.output = output
        self.summary: str = message if summary is None else summary
        self.hint = hint
