"""The state of a study at one moment: progress, speed, what is left, what is missing."""

import os
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etils import epath

from scaling_jax.accounting.flops import count_params
from scaling_jax.formatting import plain_spaces, preformatted
from scaling_jax.runs.curve import row_in
from scaling_jax.study.status.speed import Speed, speed_of
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import SETTLED, CheckedResult, StoredRun, read_run

if TYPE_CHECKING:
    from scaling_jax.runs.result import Result

AT_WORK = ("running", "leased")

_TAIL_BYTES = 4096


@dataclass(frozen=True)
class RunStatus:
    """One run at the moment it was read, so that all numbers are from the same moment.

    Attributes:
        run: the stored run.
        state: as `StoredRun.state`.
        result: the run's result; None while the run has none.
        step: the last step of the run's curve on disk.
        loss: training loss at that step; None without a curve.
    """

    run: StoredRun
    state: str
    result: "Result | None"
    step: int
    loss: float | None

    @property
    def share(self) -> float:
        """Share of the run's own steps that are done, from 0 to 1; 1 once the run has ended."""
        if self.state in SETTLED:
            return 1.0
        planned = self.run.planned
        begun = planned.shared_steps
        return max(0, self.step - begun) / (planned.config.steps - begun)

    @property
    def failure(self) -> str:
        """Why a failed or diverged run has no loss."""
        if self.state == "diverged":
            return f"loss or gradient was not finite at step {self.step:,}"
        return self.run.failure or "no reason is recorded"


@dataclass(frozen=True)
class Budget:
    """Progress of the grid's runs at one budget.

    Attributes:
        flops: the budget.
        finished, total: number of runs with a loss, and of all runs.
        best_loss, best_params: lowest loss so far and the total parameters of its run.
    """

    flops: float
    finished: int
    total: int
    best_loss: float | None
    best_params: int | None

    @property
    def missing(self) -> int:
        """Number of runs without a loss, for whatever reason."""
        return self.total - self.finished


@dataclass(frozen=True)
class Standing:
    """The state of a study at one moment.

    Attributes:
        name: of the study.
        runs: every run, ordered by budget and then by FLOPs.
        problems: what is wrong with directories of runs, apart from failures, with their names.
    """

    name: str
    runs: tuple[RunStatus, ...]
    problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        from scaling_jax.study.status.standing_text import status_text

        return plain_spaces("\n\n".join(map(str, status_text(self))))

    def _repr_html_(self) -> str:
        return preformatted(repr(self))

    @property
    def states(self) -> dict[str, int]:
        """Number of runs in each state, the states of ended runs first."""
        counts = Counter(status.state for status in self.runs)
        return {state: counts[state] for state in (*SETTLED, *AT_WORK, "planned") if counts[state]}

    @property
    def at_work(self) -> tuple[RunStatus, ...]:
        """Runs that a process is training or has reserved."""
        return tuple(status for status in self.runs if status.state in AT_WORK)

    @property
    def failures(self) -> tuple[RunStatus, ...]:
        """Runs that failed or diverged."""
        return tuple(status for status in self.runs if status.state in ("failed", "diverged"))

    @property
    def finished_ids(self) -> frozenset[str]:
        """Ids of the finished runs, which a law may be fitted to."""
        return frozenset(status.run.run_id for status in self.runs if status.state == "finished")

    @property
    def flops_total(self) -> float:
        """Training FLOPs of all runs, in the study's convention."""
        return float(sum(status.run.planned.flops_spent for status in self.runs))

    @property
    def flops_done(self) -> float:
        """Training FLOPs that are done, with all FLOPs of the runs that have ended."""
        return float(sum(status.share * status.run.planned.flops_spent for status in self.runs))

    @property
    def flops_per_second(self) -> float | None:
        """FLOP/s at which the rest will be trained, time beside training included."""
        seconds = self.seconds_left
        return (self.flops_total - self.flops_done) / seconds if seconds else None

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """Progress at each budget, ascending; verification runs are left out."""
        runs: dict[float, list[RunStatus]] = {}
        for status in self.runs:
            if status.run.planned.role == "grid":
                runs.setdefault(status.run.planned.budget, []).append(status)
        return tuple(_budget(budget, runs[budget]) for budget in sorted(runs))

    @cached_property
    def speed(self) -> Speed | None:
        """Speed of the finished runs; None before the first has finished."""
        return speed_of([(status.run.planned, result) for status, result in self._measured()])

    @cached_property
    def in_parallel(self) -> float:
        """Number of devices in use now, or in use by one run at a time if none is."""
        results = [result for _, result in self._measured()]
        if not results:
            return 1.0
        per_run = statistics.median(r.devices / r.side_by_side for r in results)
        return per_run * max(len(self.at_work), 1)

    @cached_property
    def device_seconds_left(self) -> float | None:
        """Seconds of one device that the rest will take; None before the first run has finished."""
        left = [status for status in self.runs if status.share < 1]
        if not left:
            return 0.0
        speed = self.speed
        if speed is None:
            return None
        return sum(speed.seconds(status.run.planned, _share_left(status)) for status in left)

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take on the devices in use; None while that is unknown."""
        left = self.device_seconds_left
        return None if left is None else left / self.in_parallel

    @property
    def device_seconds_spent(self) -> float:
        """Device-seconds of the runs that have ended, in the last process of each."""
        results = [status.result for status in self.runs if status.result is not None]
        return sum(sum(r.seconds.values()) * r.devices for r in results)

    def _measured(self) -> "list[tuple[RunStatus, Result]]":
        with_result = [(status, status.result) for status in self.runs if status.result]
        return [(status, result) for status, result in with_result if result.status == "finished"]


class StudyMonitor:
    """Reads the state of a study repeatedly; what cannot change any more is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: dict[str, StoredRun] = {}
        self._ended: dict[str, RunStatus] = {}

    def look(self) -> Standing:
        """The state of the study now."""
        checked = [(run, self._check(run)) for run in self._every_run()]
        runs = [self._status(run, result) for run, result in checked]
        runs.sort(key=lambda one: (one.run.planned.budget, one.run.planned.flops, one.run.run_id))
        not_failed = [(run, result._replace(fault=None)) for run, result in checked]
        problems = self._store.problems_of(not_failed)
        return Standing(str(self._store.study["name"]), tuple(runs), tuple(problems))

    def _every_run(self) -> Iterator[StoredRun]:
        for directory in self._store.planned_directories():
            if directory.name not in self._runs:
                self._runs[directory.name] = read_run(directory)
            yield self._runs[directory.name]

    def _check(self, run: StoredRun) -> CheckedResult:
        if run.run_id in self._ended:
            return CheckedResult(self._ended[run.run_id].result)
        return run.check_result()

    def _status(self, run: StoredRun, checked: CheckedResult) -> RunStatus:
        if run.run_id in self._ended:
            return self._ended[run.run_id]
        result = checked.result
        if result is not None:
            ended = RunStatus(run, result.status, result, result.steps, result.train_loss)
            self._ended[run.run_id] = ended
            return ended
        row = _last_row(run.directory)
        # A damaged curve can hold a step beyond the last.
        step = min(row.get("step", 0), run.planned.config.steps)
        return RunStatus(run, run.state_given(checked), None, step, row.get("loss"))


def _budget(flops: float, runs: list[RunStatus]) -> Budget:
    done = [
        (status.result.loss, count_params(status.run.planned.config.shape).total)
        for status in runs
        if status.result is not None and status.result.loss is not None
    ]
    loss, params = min(done, default=(None, None))
    return Budget(flops, len(done), len(runs), loss, params)


def _share_left(status: RunStatus) -> float:
    """Steps that a run has left, over all steps of the run including those of its trunk."""
    planned = status.run.planned
    return (1 - status.share) * planned.flops_spent / planned.flops


def _last_row(directory: epath.Path) -> dict[str, Any]:
    """The last complete row of a local run's curve; empty without a curve, and for a bucket.

    From a bucket the whole curve would have to be read each time, which costs too much.
    """
    path = os.fspath(directory / "metrics.jsonl")
    if "://" in path or not Path(path).is_file():
        return {}
    with Path(path).open("rb") as file:
        file.seek(max(0, Path(path).stat().st_size - _TAIL_BYTES))
        lines = file.read().split(b"\n")[:-1]
    return (row_in(lines[-1]) if lines else None) or {}
