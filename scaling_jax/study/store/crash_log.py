"""What a process that crashes leaves in the directory of the run that it trains.

A process that dies by a fault of its own, as in compiled code, leaves its stack. A process that is
killed from outside, or whose machine loses its power, leaves nothing. So the next process can tell
a crash of the run from an interruption.
"""

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from etils import epath

from scaling_jax.system.buckets import in_bucket
from scaling_jax.system.files import read_text

CRASH_FILE = "crash.txt"


@contextmanager
def crashes_recorded(directory: epath.Path) -> Iterator[None]:
    """In the block, a fatal signal writes the stack of this process to the run's directory.

    In a bucket nothing can be written at that moment, and a crash counts as an interruption.
    """
    path = Path(os.fspath(directory)) / CRASH_FILE
    with ExitStack() as stack:
        if not in_bucket(directory):
            # A full disk must not end the training.
            with suppress(OSError):
                stack.enter_context(_enabled(path))
        yield


@contextmanager
def _enabled(path: Path) -> Iterator[None]:
    was_enabled = faulthandler.is_enabled()
    with path.open("w") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()
            if was_enabled and sys.__stderr__ is not None:
                faulthandler.enable(sys.__stderr__)
    path.unlink(missing_ok=True)


def note_crash(directory: epath.Path, reason: str) -> None:
    """Leave `reason` in the run's directory, where this process is about to end itself."""
    if not in_bucket(directory):
        with suppress(OSError):
            (directory / CRASH_FILE).write_text(reason + "\n")


def crash(directory: epath.Path) -> str | None:
    """The first line of what a process that crashed left about the run; None if it left nothing."""
    try:
        lines = read_text(directory / CRASH_FILE).splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines[0] if lines else None
