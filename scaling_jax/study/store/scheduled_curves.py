"""The training curves of a study's runs together with the learning rate of every step."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.study.store.loss_curves import curves
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import StoredRun

if TYPE_CHECKING:
    from scaling_jax.laws.curves.scheduled import ScheduledCurve


@dataclass(frozen=True)
class CurvesOfModel:
    """The curves of runs that differ in the shape of their schedule, in length and in seed alone.

    Attributes:
        params: size of the model.
        finished: curves of finished runs, whose measured ends are held-out losses.
        under_way: curves so far of runs that have neither finished nor diverged.
    """

    params: int
    finished: "tuple[ScheduledCurve, ...]"
    under_way: "tuple[ScheduledCurve, ...]"


def scheduled_curves(store: Store) -> list[CurvesOfModel]:
    """The curves of each model of a study, the smallest model first.

    Runs with a batch ramp are left out, since a step of theirs has several updates.
    """
    from scaling_jax.accounting.flops import count_params

    read = curves(store, unfinished=True, of="training", roles=None)
    rows = {str(name): frame for name, frame in read.groupby("run_id")}
    groups: dict[Any, list[StoredRun]] = {}
    for run in store.runs():
        if run.planned.config.batch_ramp is None and run.run_id in rows:
            groups.setdefault(_alike(run), []).append(run)
    found = []
    for runs in groups.values():
        made = [(run.state, _curve(run, rows[run.run_id])) for run in runs]
        params = count_params(runs[0].planned.config.shape).total
        found.append(
            CurvesOfModel(
                params,
                tuple(curve for state, curve in made if state == "finished"),
                tuple(curve for state, curve in made if state not in ("finished", "diverged")),
            )
        )
    return sorted(found, key=lambda each: each.params)


def _alike(run: StoredRun) -> Any:
    """A run's configuration less the shape of its schedule, its length, seed and evaluations."""
    config = run.planned.config
    optimizer = replace(
        config.optimizer,
        schedule="constant",
        warmup_steps=0,
        final_lr_fraction=None,
        cycle=1.0,
        cooldown_share=None,
        average_share=0.0,
    )
    return replace(config, optimizer=optimizer, steps=2, seed=0, eval_every=None)


def _curve(run: StoredRun, rows: Any) -> "ScheduledCurve":
    from scaling_jax.laws.curves.scheduled import ScheduledCurve
    from scaling_jax.train.schedule import learning_rates

    rows = rows.sort_values("step")
    step_T = rows["step"].to_numpy(np.int64)
    loss_T = rows["loss"].to_numpy(np.float64)
    kept_T = np.isfinite(loss_T) & (loss_T > 0)
    result = run.result
    return ScheduledCurve(
        run.run_id,
        learning_rates(run.planned.config),
        step_T[kept_T],
        loss_T[kept_T],
        result.loss if result is not None else None,
    )
