"""
Remember the environments as this library would if it were written without care.

Everything is imported at the top, one JSON file has the whole state of an environment,
and one lock is for readers and writers.
"""

import datetime as dt
import hashlib
import json
from pathlib import Path

import cattrs
from attrs import frozen
from filelock import FileLock
from platformdirs import user_cache_path


@frozen
class Environment:
    """
    The state of one environment.
    """

    directory: Path
    notified: dt.datetime
    checked: str


_converter = cattrs.Converter()
_converter.register_structure_hook(
    dt.datetime, lambda text, _: dt.datetime.fromisoformat(text)
)
_converter.register_unstructure_hook(dt.datetime, dt.datetime.isoformat)
_converter.register_structure_hook(Path, lambda text, _: Path(text))
_converter.register_unstructure_hook(Path, str)


def read(_: str, directory: str) -> tuple[float, str]:
    """
    Return when the user was notified, and the digest of the lockfile checked.
    """
    path = _path(directory)
    with FileLock(path.with_suffix(".lock")):
        found = _converter.structure(json.loads(path.read_text()), Environment)
    return found.notified.timestamp(), found.checked


def write(_: str, directory: str, notified: float, checked: str) -> None:
    """
    Remember both.
    """
    path = _path(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    moment = dt.datetime.fromtimestamp(notified, dt.UTC)
    environment = Environment(Path(directory), moment, checked)
    with FileLock(path.with_suffix(".lock")):
        path.write_text(json.dumps(_converter.unstructure(environment)))


def _path(directory: str) -> Path:
    key = hashlib.blake2b(directory.encode(), digest_size=16).hexdigest()
    return user_cache_path("naive") / f"{key}.json"
