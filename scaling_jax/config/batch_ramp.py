"""Configuration of a batch that grows during the run."""

from dataclasses import dataclass

from scaling_jax.config.strict import settle_numbers
from scaling_jax.errors import InputError


@dataclass(frozen=True)
class BatchRamp:
    """Smaller batches in the first part of a run, as Gopher and Chinchilla were trained.

    Until the share `until` of its tokens, a run takes an update after every `batch_size / factor`
    sequences, and then after every `batch_size`. A step is `batch_size` sequences throughout, so
    tokens, FLOPs and evaluations are those of a run without a ramp. The learning rate at a number
    of tokens is the same too.

    >>> BatchRamp().steps(100)
    50

    Attributes:
        factor: updates in each step of the first part.
        until: share of the run in the first part. Both papers doubled the batch midway (Hoffmann
            et al. 2022, table 4).

    Raises:
        InputError: a factor below 2, or a share outside (0, 1).
    """

    factor: int = 2
    until: float = 0.5

    def __post_init__(self) -> None:
        settle_numbers(self)
        if self.factor < 2:
            raise InputError(f"batch ramp factor {self.factor} must be at least 2")
        if not 0 < self.until < 1:
            raise InputError(f"batch ramp until {self.until} must lie between 0 and 1")

    def steps(self, n_steps: int) -> int:
        """Number of steps with smaller batches in a run of `n_steps` steps.

        Each part of the run has at least one step, unless it has a single step.
        """
        return max(min(round(self.until * n_steps), n_steps - 1), min(1, n_steps - 1))

    def check(self, batch_size: int) -> None:
        """Check that a batch has equal parts for the updates of a step.

        Raises:
            InputError: the factor does not divide the batch.
        """
        if batch_size % self.factor:
            raise InputError(
                f"batch_size {batch_size} is not a multiple of the batch ramp's factor "
                f"{self.factor}: change one of them"
            )
