"""The log of a run: what training measures, written to the files of its curves and to trackers."""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any

from etils import epath

from scaling_jax.runs.curve_files import METRICS_FILE, Lines, read_metrics, rows_in
from scaling_jax.runs.held_out import EVALUATIONS_FILE, HeldOutLoss, evaluation_row
from scaling_jax.runs.noise_scale import NOISE_FILE, GradientNoise, noise_row
from scaling_jax.runs.task_score import TaskScore, task_row
from scaling_jax.runs.tensorboard import Events
from scaling_jax.runs.tracking import Tracker
from scaling_jax.system.agreement import is_first

NO_SCORES: Mapping[str, TaskScore] = MappingProxyType({})

# The loss curve on disk lags behind the run by at most about this time.
FLUSH_SECONDS = 10.0


class MetricsLog:
    """Appends rows to the curves of a run, and passes them to trackers.

    The loop calls `flush` before every checkpoint, so that no checkpoint is ahead of a curve.

    Args:
        directory: of the run.
        resume_step: the step of the checkpoint from which the run continues. Later steps are
            trained again, and each step must be in a file once.
        trackers: receive the scalars, TensorBoard among them.
        evaluated: steps before the end at which the run is evaluated; None for a run that keeps no
            held-out curve.
        measured: steps before the end at which the gradient noise is measured; None for a run that
            does not measure it.
    """

    def __init__(
        self,
        directory: epath.Path,
        resume_step: int,
        trackers: Sequence[Tracker],
        evaluated: Collection[int] | None = None,
        measured: Collection[int] | None = None,
    ) -> None:
        self._trackers = trackers
        kept = [row for row in read_metrics(directory) if row["step"] <= resume_step]
        self._steps = Lines(directory / METRICS_FILE, kept)
        self._evaluations = _seldom(directory / EVALUATIONS_FILE, resume_step, evaluated)
        self._noise = _seldom(directory / NOISE_FILE, resume_step, measured)
        self._flushed_at = time.monotonic()

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Add one row for each step; the last row also goes to the trackers."""
        self._steps.add(rows)
        last = dict(rows[-1])
        step = last.pop("step")
        self._track(step, last)
        # Those who watch a run see its curve before the next checkpoint. A bucket is written only
        # at checkpoints, because every write replaces the whole file.
        if not self._steps.in_bucket and time.monotonic() > self._flushed_at + FLUSH_SECONDS:
            self.flush()

    def add_evaluation(
        self,
        step: int,
        tokens: int,
        losses: Mapping[str, HeldOutLoss],
        scores: Mapping[str, TaskScore] = NO_SCORES,
    ) -> None:
        """Add the held-out losses and the scores of tasks after a step.

        Trackers have them as `eval/<set>`; a task's is its accuracy.
        """
        if self._evaluations is not None:
            row = evaluation_row(step, tokens, losses)
            for name, score in scores.items():
                row |= task_row(name, score)
            self._evaluations.add([row])
        values = {f"eval/{name}": found.loss for name, found in losses.items()}
        values |= {f"eval/{name}": score.acc.value for name, score in scores.items()}
        self._track(step, values)

    def _track(self, step: int, values: Mapping[str, float | None]) -> None:
        finite = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
        for tracker in self._trackers:
            tracker.add(step, finite)

    def add_noise(self, step: int, tokens: int, seq_len: int, noise: GradientNoise) -> None:
        """Add a measurement of the gradient noise; TensorBoard has `noise_scale/tokens` etc."""
        if self._noise is not None:
            self._noise.add([noise_row(step, tokens, noise)])
        values = {
            "noise_scale/tokens": noise.scale()[0] * seq_len,
            "noise_scale/grad_sq": noise.grad_sq,
            "noise_scale/noise": noise.noise,
        }
        self._track(step, values)

    def flush(self) -> None:
        """Write every row to disk.

        Raises:
            OSError: a file cannot be written.
        """
        self._flushed_at = time.monotonic()
        for lines in self._files:
            lines.flush()

    def close(self) -> None:
        """Write every row to disk, and replace a file if another process has changed it.

        Raises:
            OSError: a file cannot be written.
        """
        for lines in self._files:
            lines.close()

    @property
    def _files(self) -> "list[Lines]":
        return [each for each in (self._steps, self._evaluations, self._noise) if each is not None]


def _seldom(path: epath.Path, resume_step: int, steps: Collection[int] | None) -> Lines | None:
    """The file of what is measured after `steps` and at the end; None where nothing is."""
    if steps is None:
        return None
    # The last measurement, at the end, is repeated by a run that has no result yet.
    kept = [row for row in rows_in(path) if row["step"] <= resume_step and row["step"] in steps]
    return Lines(path, kept)


class NoMetrics(MetricsLog):
    """A log that discards all rows, for processes other than the first."""

    def __init__(self) -> None:
        pass

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Discard `rows`."""

    def add_evaluation(
        self,
        step: int,
        tokens: int,
        losses: Mapping[str, HeldOutLoss],
        scores: Mapping[str, TaskScore] = NO_SCORES,
    ) -> None:
        """Discard `losses` and `scores`."""

    def add_noise(self, step: int, tokens: int, seq_len: int, noise: GradientNoise) -> None:
        """Discard `noise`."""

    def flush(self) -> None:
        """Do nothing."""


@contextmanager
def open_metrics(
    directory: epath.Path,
    resume_step: int,
    evaluated: Collection[int] | None = None,
    measured: Collection[int] | None = None,
    opened: Callable[[], Sequence[Tracker]] = tuple,
) -> Iterator[MetricsLog]:
    """The metrics of a run that continues after `resume_step` (0 for a new one).

    `evaluated` holds the steps before the end at which the run is evaluated; None for a run that
    keeps no held-out curve. `measured` is the same for the gradient noise. `opened` opens the
    trackers beside TensorBoard, in the first process.
    """
    if not is_first():
        yield NoMetrics()
        return
    trackers = [Events(directory / "tensorboard", resume_step), *opened()]
    with ExitStack() as stack:
        for tracker in trackers:
            stack.callback(tracker.close)
        log = MetricsLog(directory, resume_step, trackers, evaluated, measured)
        # Closed first: a tracker may take its time.
        stack.callback(log.close)
        yield log
