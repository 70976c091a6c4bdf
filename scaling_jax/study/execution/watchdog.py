"""Ending a process that hangs, since one that hangs in a device's driver cannot be resumed."""

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
    """A function to call as a sign of life; without one for `seconds`, `end` is called.

    By default that ends this process at once, with exit code 75.
    """
    heard, over = [time.monotonic()], threading.Event()

    def watch() -> None:
        while not over.wait(max(0.01, heard[0] + seconds - time.monotonic())):
            if time.monotonic() >= heard[0] + seconds:
                print(
                    f"no progress for {seconds:,.0f} s; run the same command to continue from the "
                    "last checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
                end()
                return

    def alive() -> None:
        heard[0] = time.monotonic()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield alive
    finally:
        over.set()
        thread.join()
