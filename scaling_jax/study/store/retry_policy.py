"""How a study's runs are looked after: saved, watched, tried again.

Nothing here imports JAX, so that the command line can offer the choices without loading it.
"""

from dataclasses import dataclass

from scaling_jax.errors import InputError

_GROWTH = 4.0
_LONGEST_WAIT = 300.0


@dataclass(frozen=True)
class Supervision:
    """What is done about runs that fail, hang or are cut short.

    Attributes:
        attempts: tries in a row that bring a run no further than its last checkpoint, after
            which it counts as failed.
        retry_wait: seconds before the second try; before each later one four times as many as
            before, up to five minutes.
        stall_seconds: a process that reports no progress for so long is killed, and its run
            tried again. Loading, compiling and the final evaluation report none.
        checkpoint_seconds: between two checkpoints of a run.

    Raises:
        InputError: no attempts, or a time that is negative.
    """

    attempts: int = 3
    retry_wait: float = 5.0
    stall_seconds: float = 1800.0
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InputError(f"attempts {self.attempts} must be at least 1")
        for name in ("retry_wait", "stall_seconds", "checkpoint_seconds"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} {getattr(self, name)} must not be negative")

    def wait(self, attempts: int) -> float | None:
        """Seconds to wait after this many failed attempts; None if there is no other."""
        if attempts >= self.attempts:
            return None
        return min(self.retry_wait * _GROWTH ** (attempts - 1), _LONGEST_WAIT)


USUAL = Supervision()
