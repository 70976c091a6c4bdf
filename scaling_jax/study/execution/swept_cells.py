"""The runs of a learning-rate sweep by their cells, and what each cell shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scaling_jax import formatting
from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.sweep_optimum import Trial
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import StoredRun


@dataclass(frozen=True)
class CellKey:
    """What the runs of a cell share."""

    params: int
    tokens: int
    batch_size: int

    def __str__(self) -> str:
        return (
            f"{formatting.count(self.params)} parameters on {formatting.count(self.tokens)} tokens "
            f"in batches of {self.batch_size}"
        )


def swept(store: Store) -> list[StoredRun]:
    """The runs of the sweep, without those of its check."""
    return [run for run in store.runs() if run.planned.role == "grid"]


def key_of(config: RunConfig) -> CellKey:
    """The cell of a run: its active parameters, its tokens and its batch."""
    return CellKey(count_params(config.shape).active, config.tokens, config.batch_size)


def cells_of(store: Store) -> dict[CellKey, list[StoredRun]]:
    """The runs of each cell, cheapest first."""
    cells: dict[CellKey, list[StoredRun]] = {}
    for run in swept(store):
        cells.setdefault(key_of(run.planned.config), []).append(run)
    return cells


def trials_of(runs: Sequence[StoredRun]) -> list[Trial]:
    """The runs of a cell that have ended.

    Raises:
        InputError: a run has failed or was cancelled.
    """
    trials = []
    for run in runs:
        result, config = run.result, run.planned.config
        if result is None:
            raise InputError(
                f"run {run.run_id} of the sweep is {run.state}, so its cell has no best rate: see "
                "scaling-jax status, and tune with --retry-failed once the cause is gone"
            )
        loss = math.nan if result.loss is None else result.loss
        trials.append(Trial(config.optimizer.peak_lr, loss, config.seed))
    return trials


def best_rate(runs: Sequence[StoredRun]) -> float:
    """The learning rate of the lowest loss of a cell."""
    finished = [trial for trial in trials_of(runs) if math.isfinite(trial.loss)]
    return min(finished, key=lambda trial: trial.loss).rate
