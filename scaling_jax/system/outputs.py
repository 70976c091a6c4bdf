"""Files that a user names for results: checked before any work, and written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scaling_jax.errors import InputError


def check_output(path: Path, endings: tuple[str, ...]) -> None:
    """Refuse a path that cannot be written, before any work is spent on its content.

    Raises:
        InputError: another ending, a directory, or a place that cannot be written.
    """
    if path.suffix not in endings:
        raise InputError(f"{path} must end in {' or '.join(endings)}")
    if path.is_dir():
        raise InputError(f"{path} is a directory: name a file in it")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"cannot write {path}: {above} is a file, not a directory")
    if not os.access(above, os.W_OK):
        raise InputError(f"cannot write {path}: {above} is not writable")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write, which replaces `path` only if the block succeeds.

    Raises:
        InputError: the file cannot be written.
    """
    # Only a command that writes a file needs its reads and writes of buckets.
    from scaling_jax.system import files

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(files.as_path(path)) as temporary:
            yield Path(temporary)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
