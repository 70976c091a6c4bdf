"""Ends a process that hangs: a call that hangs in a device's driver cannot be interrupted."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# EX_TEMPFAIL: the same command, run again, continues.
STALLED_EXIT = 75


@contextmanager
def ending_if_stalled(
    seconds: float, end: Callable[[], None] = lambda: os._exit(STALLED_EXIT)
) -> Iterator[Callable[[], None]]:
    """A function to call at every sign of progress; `seconds` without a call lead to `end`.

    By default `end` ends this process at once, with exit code 75.
    """
    last_call, finished = [time.monotonic()], threading.Event()

    def watch() -> None:
        while not finished.wait(max(0.01, last_call[0] + seconds - time.monotonic())):
            if time.monotonic() >= last_call[0] + seconds:
                print(
                    f"no progress for {seconds:,.0f} s; run the same command to continue from the "
                    "last checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
                end()
                return

    def alive() -> None:
        last_call[0] = time.monotonic()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield alive
    finally:
        finished.set()
        thread.join()
