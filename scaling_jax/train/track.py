"""The progress of one run in the training loop, and where it writes."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from scaling_jax.config import RunConfig
from scaling_jax.runs.metrics import MetricsLog
from scaling_jax.runs.progress_bar import Report
from scaling_jax.train.checkpoint import Checkpoints
from scaling_jax.train.inputs import Inputs


@dataclass
class Track:
    """The progress of one run in the loop, and where it writes.

    Attributes:
        config, inputs: the run and its data.
        checkpoints, metrics, report: receivers of its checkpoints, loss curve and progress.
        step: steps taken or dispatched.
        kept: steps whose checkpoints other runs start from.
        evaluated: steps before the end after which the run is evaluated.
        measured: steps before the end after which its gradient noise is measured.
        healthy: whether every loss and gradient was finite.
        tokens_trained, seconds_trained: work of this process, for the speed.
    """

    config: RunConfig
    inputs: Inputs
    checkpoints: Checkpoints
    metrics: MetricsLog
    report: Report
    step: int
    kept: frozenset[int] = frozenset()
    evaluated: frozenset[int] = frozenset()
    measured: frozenset[int] = frozenset()
    healthy: bool = True
    tokens_trained: int = 0
    seconds_trained: float = 0.0

    @property
    def left(self) -> int:
        """Number of steps that remain; 0 after a non-finite loss."""
        return self.config.steps - self.step if self.healthy else 0

    @property
    def ahead(self) -> int:
        """Number of steps until the next step in `kept`, `evaluated` or `measured`, or the end."""
        return min(self.left, self._stops[bisect_right(self._stops, self.step)] - self.step)

    @cached_property
    def _stops(self) -> list[int]:
        # A run that has ended is at the last but one of them.
        end = self.config.steps
        return sorted({*self.kept, *self.evaluated, *self.measured, end, end + 1})

    @property
    def is_at_kept(self) -> bool:
        """Whether the current step is in `kept`."""
        return self.healthy and self.step in self.kept

    @property
    def is_at_evaluation(self) -> bool:
        """Whether the current step is in `evaluated`."""
        return self.healthy and self.step in self.evaluated

    @property
    def is_at_measurement(self) -> bool:
        """Whether the current step is in `measured`."""
        return self.healthy and self.step in self.measured
