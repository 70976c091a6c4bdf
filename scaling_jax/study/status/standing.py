"""Where a study stands at one moment: progress, speed, what is left, what is missing."""

import json
import os
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etils import epath

from scaling_jax.study.status.speed import Speed, speed_of
from scaling_jax.study.store.store import SETTLED, Store, StoredRun, read_run

if TYPE_CHECKING:
    from scaling_jax.runs.result import Result

AT_WORK = ("running", "leased")

_TAIL_BYTES = 4096


@dataclass(frozen=True)
class Seen:
    """One run as it was when looked at, so that every number speaks of the same moment.

    Attributes:
        step: how far it is, as far as its curve is on disk.
        loss: training loss there; None where nothing is.
    """

    run: StoredRun
    state: str
    result: "Result | None"
    step: int
    loss: float | None

    @property
    def share(self) -> float:
        """How much of what the run takes itself is done, from 0 to 1, which is all when over."""
        if self.state in SETTLED:
            return 1.0
        planned = self.run.planned
        begun = planned.branch.step if planned.branch else 0
        return max(0, self.step - begun) / (planned.config.steps - begun)


@dataclass(frozen=True)
class Budget:
    """How many of the grid's runs of one budget finished, and the best of them."""

    flops: float
    finished: int
    total: int
    best_loss: float | None
    best_params: int | None

    @property
    def missing(self) -> int:
        """Runs that have no loss, for whatever reason."""
        return self.total - self.finished


@dataclass(frozen=True)
class Standing:
    """A study at one moment."""

    name: str
    seen: tuple[Seen, ...]

    @property
    def states(self) -> dict[str, int]:
        """How many runs are in each state, those that are over first."""
        counts = Counter(one.state for one in self.seen)
        return {state: counts[state] for state in (*SETTLED, *AT_WORK, "planned") if counts[state]}

    @property
    def at_work(self) -> tuple[Seen, ...]:
        """Runs that a process has."""
        return tuple(one for one in self.seen if one.state in AT_WORK)

    @property
    def failures(self) -> tuple[Seen, ...]:
        """Runs that failed or diverged."""
        return tuple(one for one in self.seen if one.state in ("failed", "diverged"))

    @property
    def finished_ids(self) -> frozenset[str]:
        """What a law may be fitted to."""
        return frozenset(one.run.run_id for one in self.seen if one.state == "finished")

    @property
    def flops_total(self) -> float:
        """What the study takes, in its convention."""
        return float(sum(one.run.planned.flops_spent for one in self.seen))

    @property
    def flops_done(self) -> float:
        """What of it is done, or will not be."""
        return float(sum(one.share * one.run.planned.flops_spent for one in self.seen))

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """By budget, verification runs left out."""
        runs: dict[float, list[Seen]] = {}
        for one in self.seen:
            if one.run.planned.role == "grid":
                runs.setdefault(one.run.planned.budget, []).append(one)
        return tuple(_budget(budget, runs[budget]) for budget in sorted(runs))

    @cached_property
    def speed(self) -> Speed | None:
        """That of the finished runs; None before the first."""
        return speed_of([(one.run.planned, one.result) for one in self._measured()])

    @cached_property
    def in_parallel(self) -> float:
        """Devices at work now; where none is, those that one run after another would use."""
        results = [one.result for one in self._measured()]
        if not results:
            return 1.0
        to_a_run = statistics.median(r.devices / r.side_by_side for r in results)
        return to_a_run * max(len(self.at_work), 1)

    @cached_property
    def device_seconds_left(self) -> float | None:
        """What the unfinished runs take of one device; None before anything was measured."""
        left = [one for one in self.seen if one.share < 1]
        if not left:
            return 0.0
        speed = self.speed
        if speed is None:
            return None
        return sum(speed.seconds(one.run.planned, _own_share(one)) for one in left)

    @property
    def seconds_left(self) -> float | None:
        """The same of the devices at work."""
        left = self.device_seconds_left
        return None if left is None else left / self.in_parallel

    @property
    def device_seconds_spent(self) -> float:
        """What the runs that are over took of one device, as far as their last processes say."""
        results = [one.result for one in self.seen if one.result is not None]
        return sum(sum(r.seconds.values()) * r.devices for r in results)

    def _measured(self) -> "list[Any]":
        return [one for one in self.seen if one.result and one.result.status == "finished"]


class Onlooker:
    """Looks at a store again and again; what cannot change any more is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: dict[str, StoredRun] = {}
        self._over: dict[str, Seen] = {}

    def look(self) -> Standing:
        """The study as it is now."""
        seen = [self._seen(run) for run in self._every_run()]
        seen.sort(key=lambda one: (one.run.planned.budget, one.run.planned.flops, one.run.run_id))
        return Standing(str(self._store.study["name"]), tuple(seen))

    def _every_run(self) -> Iterator[StoredRun]:
        for plan in (self._store.directory / "runs").glob("*/plan.json"):
            directory = plan.parent
            if directory.name not in self._runs:
                self._runs[directory.name] = read_run(directory)
            yield self._runs[directory.name]

    def _seen(self, run: StoredRun) -> Seen:
        if run.run_id in self._over:
            return self._over[run.run_id]
        result = run.result
        if result is not None:
            over = Seen(run, result.status, result, result.steps, result.train_loss)
            self._over[run.run_id] = over
            return over
        row = _last_row(run.directory)
        return Seen(run, run.state, None, int(row.get("step", 0)), row.get("loss"))


def _budget(flops: float, runs: list[Seen]) -> Budget:
    from scaling_jax.accounting.flops import count_params

    done = [
        (one.result.loss, count_params(one.run.planned.config.shape).total)
        for one in runs
        if one.result is not None and one.result.loss is not None
    ]
    loss, params = min(done, default=(None, None))
    return Budget(flops, len(done), len(runs), loss, params)


def _own_share(one: Seen) -> float:
    """What is left of a run, over all of its steps and its trunk's."""
    planned = one.run.planned
    return (1 - one.share) * planned.flops_spent / planned.flops


def _last_row(directory: epath.Path) -> dict[str, Any]:
    """The last whole row of a local run's curve; empty without one, and for a bucket.

    Reading whole curves from a bucket at every look would cost more than it tells.
    """
    path = os.fspath(directory / "metrics.jsonl")
    if "://" in path or not Path(path).exists():
        return {}
    with Path(path).open("rb") as file:
        file.seek(max(0, Path(path).stat().st_size - _TAIL_BYTES))
        lines = file.read().split(b"\n")[:-1]
    try:
        row = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}
