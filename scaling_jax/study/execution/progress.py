"""What a person sees of a study under way: a line per run, and on a terminal one live bar."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scaling_jax.study.store.store import StoredRun

# Runs differ in speed, so the time left is told from a long stretch.
_SPEED_SECONDS = 600.0


class Display(Protocol):
    """Whatever is told how a study goes."""

    def advanced(self, run: StoredRun, step: int) -> None:
        """`run` has taken `step` steps."""

    def over(self, run: StoredRun, outcome: str) -> None:
        """`run` ended, for good or for now, as `outcome` says."""

    def say(self, text: str) -> None:
        """Something to know."""


class StudyProgress:
    """Counts FLOPs and runs done; draws on standard error."""

    def __init__(self, runs: Sequence[StoredRun], bar: Progress, console: Console) -> None:
        self._n_runs, self._over = len(runs), 0
        self._done: dict[str, float] = {}
        self._bar, self._console = bar, console
        self._total = float(sum(run.planned.flops_spent for run in runs))
        self._task = bar.add_task("", total=self._total, runs="", flops="")
        self._draw()

    def advanced(self, run: StoredRun, step: int) -> None:
        """`run` has taken `step` steps."""
        left = 1 - step / run.planned.config.steps
        done = run.planned.flops_spent - run.planned.flops * left
        # A branch whose trunk's checkpoint is lost begins before where it was to.
        self._done[run.run_id] = max(0.0, done)
        self._draw()

    def over(self, run: StoredRun, outcome: str) -> None:
        """`run` ended, for good or for now, as `outcome` says."""
        self._over += 1
        self._done[run.run_id] = run.planned.flops_spent
        self._draw()
        self.say(f"[{self._over}/{self._n_runs}] {_label(run)}: {outcome}")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _draw(self) -> None:
        done = sum(self._done.values())
        self._bar.update(
            self._task,
            completed=done,
            runs=f"{self._over}/{self._n_runs} runs",
            flops=f"{done:.3g}/{self._total:.3g} FLOPs",
        )


@contextmanager
def study_progress(runs: Sequence[StoredRun], shown: bool) -> Iterator[StudyProgress]:
    """The display of `runs`: silent unless `shown`, plain lines where nobody sees a bar."""
    console = Console(file=sys.stderr, quiet=not shown)
    columns = (
        TextColumn("{task.fields[runs]}"),
        BarColumn(),
        TextColumn("{task.fields[flops]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        speed_estimate_period=_SPEED_SECONDS,
        disable=not (shown and runs and console.is_terminal),
    ) as bar:
        yield StudyProgress(runs, bar, console)


def _label(run: StoredRun) -> str:
    config = run.planned.config
    return (
        f"{run.run_id}  {config.shape.n_layers} layers, width {config.shape.d_model}, "
        f"{config.tokens:,} tokens, {run.planned.flops_spent:.3g} FLOPs"
    )
