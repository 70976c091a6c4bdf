"""Finding a good moment to stop when asked to."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Preempted(Exception):  # noqa: N818 - an outcome, not a fault
    """The run was asked to stop; its state is saved and the next start continues it."""


class StopRequest:
    """Whether SIGTERM or SIGINT has arrived."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle the signal: remember it, for the loop to act on between dispatches."""
        self.signum = signum

    def heed(self) -> None:
        """Stop here if asked to.

        Raises:
            Preempted: a signal has arrived.
        """
        if self.signum is not None:
            raise Preempted(
                f"stopped by signal {self.signum}; everything is saved, run the same command to "
                "continue"
            )


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Collect SIGTERM and SIGINT inside the block instead of dying from them.

    A block inside another shares its request, so that what the outer one hears is not lost.
    """
    outer = signal.getsignal(signal.SIGTERM)
    if isinstance(outer, StopRequest):
        yield outer
        return
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    watched = (signal.SIGTERM, signal.SIGINT)
    previous = {signum: signal.signal(signum, request) for signum in watched}
    try:
        yield request
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
