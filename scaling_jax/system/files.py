"""Reads and atomic writes of files, which retry after transient errors of the file system."""

import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from etils import epath

from scaling_jax.system.buckets import check_scheme, in_bucket

T = TypeVar("T")

# Transient errors, such as an unreachable server, a stale file handle or a busy device.
_NAMES = ("EAGAIN", "EBUSY", "ECONNRESET", "EINTR", "EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT")
TRANSIENT = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))
# Seconds to wait before each retry.
WAITS = (0.1, 0.4, 1.6)


def as_path(path: os.PathLike | str) -> epath.Path:
    """The path, local or in a bucket, with the operations of `pathlib`.

    Raises:
        InputError: a bucket whose package is not installed.
    """
    check_scheme(path)
    return epath.Path(path)


def absolute(path: os.PathLike | str) -> epath.Path:
    """The absolute form of a local path; a path in a bucket is returned unchanged."""
    return as_path(path if in_bucket(path) else os.path.abspath(path))  # noqa: PTH100


def retried(access: Callable[[], T]) -> T:
    """What `access` returns, with up to three retries after transient errors.

    Raises:
        OSError: the error of the last try, or the first error that is not transient.
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
    """The text of a file, read with retries.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: the file is not UTF-8 text.
    """
    if in_bucket(path):
        return retried(path.read_text)
    return retried(lambda: _read(os.fspath(path)))


def names(folder: epath.Path) -> list[str]:
    """Names of the entries of a folder, in no order; empty if the folder does not exist.

    Raises:
        OSError: the folder cannot be listed.
    """
    try:
        if in_bucket(folder):
            return [path.name for path in folder.iterdir()] if folder.exists() else []
        return retried(lambda: os.listdir(os.fspath(folder)))  # noqa: PTH208 - the fastest
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: str) -> str:
    # `epath`'s own method takes three times as long, which matters for thousands of files.
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_text_atomically(path: epath.Path, text: str) -> None:
    """Replace the file at `path` atomically, with retries: readers see the old text or the new.

    Several processes may write at once; the text of the last one stays.

    Raises:
        OSError: the file cannot be written; its previous content stays.
    """
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: epath.Path, content: bytes) -> None:
    """Replace the file at `path` as `write_text_atomically` does, by these bytes.

    Raises:
        OSError: the file cannot be written; its previous content stays.
    """
    retried(lambda: _replace(path, content))


@contextmanager
def replacing(path: epath.Path) -> Iterator[epath.Path]:
    """A new, empty file beside `path` to write, which replaces `path` only if the block succeeds.

    Its name is random and it is created exclusively, so that a file or a link that somebody has
    put there is never followed.

    Raises:
        OSError: the file cannot be made, or cannot replace `path`.
    """
    # A file system refuses names of more than 255 bytes.
    temporary = path.parent / f".{path.name[:40]}.{uuid.uuid4().hex}.tmp"
    if not in_bucket(path):
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _replace(path: epath.Path, content: bytes) -> None:
    if in_bucket(path):
        # An object appears, whole, when its upload ends. A rename would be a copy and a deletion.
        path.write_bytes(content)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)
