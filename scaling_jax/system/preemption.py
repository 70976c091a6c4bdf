"""SIGTERM, SIGINT and SIGHUP as requests to stop, checked by training between dispatches."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Preempted(Exception):  # noqa: N818 - an outcome, not a fault
    """A signal stopped the run. Its state is saved, and the next start continues it."""


class StopRequest:
    """A signal handler that stores the signal (`signum`), which is None until one arrives."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Store the signal."""
        self.signum = signum

    def raise_if_requested(self) -> None:
        """Stop the caller if a signal has arrived.

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
    """Handle SIGTERM, SIGINT and SIGHUP inside the block with a `StopRequest`, not by ending.

    A nested block yields the request of the outer block, so that both see the same signals.
    """
    outer = signal.getsignal(signal.SIGTERM)
    if isinstance(outer, StopRequest):
        yield outer
        return
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # SIGHUP comes when a terminal or a connection closes, unless `nohup` ignores it.
    hung_up = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    watched = (signal.SIGTERM, signal.SIGINT, *hung_up)
    previous = {signum: signal.signal(signum, request) for signum in watched}
    try:
        yield request
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
