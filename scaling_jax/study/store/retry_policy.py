"""How runs are saved, watched and retried; no JAX, for the command line's options."""

from dataclasses import dataclass

from scaling_jax.errors import InputError

_GROWTH = 4.0
_LONGEST_WAIT = 300.0


@dataclass(frozen=True)
class Supervision:
    """How runs that fail, hang or are interrupted are handled.

    Attributes:
        attempts: after so many attempts in a row that bring a run no further than its last
            checkpoint, the run has failed.
        interruptions: after so many attempts in a row that something outside the run ended (a
            preemption, SIGKILL, a loss of power) and that bring it no further, the run has failed.
        retry_wait: seconds before the second attempt; four times as many before each later one,
            up to five minutes.
        stall_seconds: a process that reports no progress for so long is killed, and its run
            retried. Loading, compiling and the final evaluation report no progress.
        checkpoint_seconds: seconds between two checkpoints of a run.

    Raises:
        InputError: no attempts, or a negative time.
    """

    attempts: int = 3
    interruptions: int = 30
    retry_wait: float = 5.0
    stall_seconds: float = 1800.0
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("attempts", "interruptions"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} must be at least 1")
        for name in ("retry_wait", "stall_seconds", "checkpoint_seconds"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} {getattr(self, name)} must not be negative")

    def wait(self, attempts: int) -> float | None:
        """Seconds to wait after this many failed attempts; None if no other follows."""
        return None if attempts >= self.attempts else self._wait(attempts)

    def wait_after_interruption(self, interruptions: int) -> float | None:
        """Seconds to wait after this many interruptions; None if no other attempt follows."""
        return None if interruptions >= self.interruptions else self._wait(interruptions)

    def _wait(self, times: int) -> float:
        # A hundred waits are as long as twenty, and no float overflows.
        return min(self.retry_wait * _GROWTH ** min(times - 1, 20), _LONGEST_WAIT)


USUAL = Supervision()
