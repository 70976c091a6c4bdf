"""What a person sees of a study under way: a line per run, and on a terminal one live bar."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scaling_jax.study.store.stored_run import StoredRun

# Runs differ in speed, so the time left is estimated from a long stretch.
_SPEED_SECONDS = 600.0


class Display(Protocol):
    """Shows how a study advances."""

    def advanced(self, run: StoredRun, step: int) -> None:
        """Show that `run` has taken `step` steps."""

    def finished(self, run: StoredRun, outcome: str) -> None:
        """Show that `run` gets no further attempt, and the outcome of the last one."""

    def log(self, text: str) -> None:
        """Print a line."""


class StudyDisplay:
    """Counts FLOPs and runs; draws on standard error."""

    def __init__(self, runs: Sequence[StoredRun], bar: Progress, console: Console) -> None:
        self._n_runs, self._n_finished = len(runs), 0
        self._flops: dict[str, float] = {}
        self._bar, self._console = bar, console
        self._total = float(sum(run.planned.flops_spent for run in runs))
        self._task = bar.add_task("", total=self._total, runs="", flops="")
        self._draw()

    def advanced(self, run: StoredRun, step: int) -> None:
        """Count the FLOPs of `step` steps of `run`."""
        left = 1 - step / run.planned.config.steps
        flops = run.planned.flops_spent - run.planned.flops * left
        # A branch whose trunk's checkpoint is lost begins before the step where it branches off.
        self._flops[run.run_id] = max(0.0, flops)
        self._draw()

    def finished(self, run: StoredRun, outcome: str) -> None:
        """Count `run` and print its outcome."""
        self._n_finished += 1
        self._flops[run.run_id] = run.planned.flops_spent
        self._draw()
        self.log(f"[{self._n_finished}/{self._n_runs}] {_label(run)}: {outcome}")

    def log(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _draw(self) -> None:
        flops = sum(self._flops.values())
        self._bar.update(
            self._task,
            completed=flops,
            runs=f"{self._n_finished}/{self._n_runs} runs",
            flops=f"{flops:.3g}/{self._total:.3g} FLOPs",
        )


@contextmanager
def study_display(runs: Sequence[StoredRun], shown: bool) -> Iterator[StudyDisplay]:
    """The display of `runs`: silent unless `shown`, without a bar where there is no terminal."""
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
        yield StudyDisplay(runs, bar, console)


def _label(run: StoredRun) -> str:
    config = run.planned.config
    return (
        f"{run.run_id}  {config.shape.n_layers} layers, width {config.shape.d_model}, "
        f"{config.tokens:,} tokens, {run.planned.flops_spent:.3g} FLOPs"
    )
