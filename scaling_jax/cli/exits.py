"""Ways for a command to end that are neither success nor bad input."""

from collections.abc import Iterator
from contextlib import contextmanager

FAILED = 1
BAD_INPUT = 2
STOPPED = 75  # EX_TEMPFAIL: the same command, run again, continues
INTERRUPTED = 130


class CommandFailed(Exception):  # noqa: N818 - an outcome with a message of its own
    """The command did its work and the work failed; the message is for the user."""


class Stopped(Exception):  # noqa: N818 - an outcome, not a fault
    """The command stopped on request with everything saved; the message says how to continue."""


@contextmanager
def resumable() -> Iterator[None]:
    """Turn a saved, interrupted run into `Stopped`."""
    from scaling_jax.system.preemption import Preempted

    try:
        yield
    except Preempted as stop:
        raise Stopped(str(stop)) from stop
