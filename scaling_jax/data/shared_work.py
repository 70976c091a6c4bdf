"""Units of work that processes on several hosts do a share of, without messages between them."""

import sys
import time
from collections.abc import Callable

# After this long without a unit of another process, this process does what is missing.
PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 1.0


def process_share() -> tuple[int, int]:
    """The number of this process and how many train together; (0, 1) for one that trains alone."""
    if "jax" not in sys.modules:
        return 0, 1
    import jax

    if not jax.distributed.is_initialized():
        return 0, 1
    return jax.process_index(), jax.process_count()


def share_out(n_units: int, done: Callable[[], set[int]], do: Callable[[int], None]) -> None:
    """Do every unit that is not done, each by one of the processes that call this together.

    The outcome of a unit is visible to all, as a file in a bucket. A process first does its own
    share, then waits while others make progress, and then does what they have left. So a unit may
    be done twice, with the same outcome, and no process depends on another one.

    Args:
        n_units: number of units.
        done: the units whose outcome is visible.
        do: does one unit.
    """
    process, n_processes = process_share()
    for turn in range(3):
        finished = done()
        for unit in range(n_units):
            if unit not in finished and _is_mine(unit, turn, process, n_processes):
                do(unit)
        if turn == 0 and n_processes > 1:
            _await_others(n_units, done)


def _is_mine(unit: int, turn: int, process: int, n_processes: int) -> bool:
    """Whether a process does a unit in this turn: the first two turns divide the units two ways."""
    if turn == 2:
        return True
    return (unit if turn == 0 else unit // n_processes) % n_processes == process


def _await_others(n_units: int, done: Callable[[], set[int]]) -> None:
    n_done, since = len(done()), time.monotonic()
    while n_done < n_units and time.monotonic() < since + PATIENCE_SECONDS:
        time.sleep(_POLL_SECONDS)
        if (now := len(done())) > n_done:
            n_done, since = now, time.monotonic()
