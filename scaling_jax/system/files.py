"""Reading and writing files: whole or not at all, and again where a file system falters."""

import errno
import os
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from etils import epath

T = TypeVar("T")

# Errors of a moment: a server that is away, a handle gone stale, a device that was busy.
_NAMES = ("EAGAIN", "EBUSY", "ECONNRESET", "EINTR", "EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT")
TRANSIENT = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))
# Seconds between the tries of one access, of which there is one more than of these.
WAITS = (0.1, 0.4, 1.6)


def absolute(path: os.PathLike | str) -> epath.Path:
    """A path as it is from anywhere; a bucket's as it is."""
    return epath.Path(path if in_bucket(path) else os.path.abspath(path))  # noqa: PTH100


def in_bucket(path: os.PathLike | str) -> bool:
    """Whether the path is of an object store, which has neither locks nor appending."""
    return "://" in os.fspath(path)


def retried(access: Callable[[], T]) -> T:
    """What `access` returns, tried up to four times while errors are transient.

    Raises:
        OSError: the last one, or the first that is not transient.
    """
    for wait in WAITS:
        try:
            return access()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
            time.sleep(wait)
    return access()


def read_text(path: epath.Path) -> str:
    """The text of a file; transient errors are waited out.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not text.
    """
    if in_bucket(path):
        return retried(path.read_text)
    return retried(lambda: _read(os.fspath(path)))


def names(folder: epath.Path) -> list[str]:
    """What lies in a folder, in no order; nothing where there is none.

    Raises:
        OSError: it cannot be listed.
    """
    try:
        if in_bucket(folder):
            return [path.name for path in folder.iterdir()] if folder.exists() else []
        return retried(lambda: os.listdir(os.fspath(folder)))  # noqa: PTH208 - the fastest
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: str) -> str:
    # A third of the time of `epath`'s own, which counts for thousands of files.
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_text_atomically(path: epath.Path, text: str) -> None:
    """Replace the file at `path` in one step: readers see the old text or the new.

    Any number of processes may do so at once; the last one's text stays. Transient errors are
    waited out.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    retried(lambda: _replace(path, text))


def _replace(path: epath.Path, text: str) -> None:
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
