"""The loss curves of a store's runs as a table."""

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal

from scaling_jax.accounting import flops
from scaling_jax.errors import InputError
from scaling_jax.study.store.store import Store, opened, warn_left_out
from scaling_jax.study.store.stored_run import CheckedResult, StoredRun

if TYPE_CHECKING:
    import pandas as pd

# Beginnings of the names that a table of curves keeps of the rows on disk, which hold more.
_KEPT = ("step", "loss", "acc", "soft", "bits_per_byte")
CURVE_COLUMNS = [
    *("run_id", "seed", "params", "params_non_embedding", "params_active"),
    *("tokens", "flops", "step", "loss", "loss_of"),
]

LossOf = Literal["training", "held_out"]


def curves(
    store: Store | os.PathLike | str,
    *,
    unfinished: bool = False,
    of: LossOf | None = None,
    roles: Collection[str] | None = ("grid",),
) -> "pd.DataFrame":
    """Losses in nats per token along every finished run of the grid, or of `roles` (None for all).

    `store` can be a study's directory, or a root that holds one study.

    By default these are held-out losses where every run of the grid is evaluated along the way,
    and otherwise training losses, at every step. The column `loss_of` says which; `of` chooses.
    Held-out losses have their standard error beside them, and the losses on further sets. With
    `unfinished`, the curves of unfinished runs are included, for plots: no law is fitted to such
    runs. A finished run whose curve is damaged is left out, and a `LeftOutWarning` names it.

    Raises:
        InputError: held-out losses of a run that is evaluated only at its end.
    """
    import pandas as pd

    grid = [r for r in opened(store).runs() if roles is None or r.planned.role in roles]
    without = [run.run_id for run in grid if run.planned.config.eval_every is None]
    if of == "held_out" and without:
        raise InputError(
            f"run {without[0]} has no held-out curve: train with eval_every in the recipe, or read "
            "the training losses"
        )
    held_out = of != "training" and bool(grid) and not without
    read = [(run, *(_held_out if held_out else _curve)(run, unfinished)) for run in grid]
    warn_left_out(_damaged(run, fault) for run, _, fault in read if fault is not None)
    loss_of: LossOf = "held_out" if held_out else "training"
    rows = [
        {"loss_of": loss_of} | row
        for run, steps, fault in read
        if fault is None
        for row in _with_flops(run, steps)
    ]
    further = [name for row in rows[:1] for name in row if name not in CURVE_COLUMNS]
    return pd.DataFrame(rows, columns=[*CURVE_COLUMNS, *further])


def damage_of_curve(run: StoredRun) -> str | None:
    """What is wrong with the curves of a finished run; None for every other run."""
    read = (_curve, _held_out, noise_rows)
    return next((fault for each in read if (fault := each(run, unfinished=False)[1])), None)


def _curve(run: StoredRun, unfinished: bool) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of the run's training curve if they are requested, and what is wrong with them."""
    checked = run.check_result()
    result = checked.result
    if not _has_curve(checked, unfinished):
        return [], None
    # Imported here, since it needs JAX and a table of records does not.
    from scaling_jax.runs.curve import curve_fault
    from scaling_jax.runs.curve_files import METRICS_FILE, read_metrics

    rows = read_metrics(run.directory)
    fault = None if result is None else curve_fault(rows, result, run.planned.config)
    return rows, fault and f"{METRICS_FILE} {fault}"


def _held_out(run: StoredRun, unfinished: bool) -> tuple[list[dict[str, Any]], str | None]:
    """As `_curve`, of the held-out curve; no rows for a run that keeps none."""
    checked = run.check_result()
    result, config = checked.result, run.planned.config
    if not config.keeps_evaluations or not _has_curve(checked, unfinished):
        return [], None
    from scaling_jax.runs.curve_files import read_evaluations
    from scaling_jax.runs.held_out import EVALUATIONS_FILE, evaluations_fault

    rows = read_evaluations(run.directory)
    fault = None if result is None else evaluations_fault(rows, result.evaluations, config)
    return rows, fault and f"{EVALUATIONS_FILE} {fault}"


def noise_rows(run: StoredRun, unfinished: bool) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of the run's gradient noise, and what is wrong with them.

    There are none for a run that measures none, and for an unfinished one unless requested.
    """
    checked = run.check_result()
    result, config = checked.result, run.planned.config
    if config.noise_scale is None or not _has_curve(checked, unfinished):
        return [], None
    from scaling_jax.runs.curve_files import read_noise
    from scaling_jax.runs.noise_scale import NOISE_FILE, noise_fault

    rows = read_noise(run.directory)
    fault = None if result is None else noise_fault(rows, result.noise_curve, config)
    return rows, fault and f"{NOISE_FILE} {fault}"


def _has_curve(checked: CheckedResult, unfinished: bool) -> bool:
    """Whether the curve of a run with this result is read."""
    if checked.result is None:
        return unfinished and checked.fault is None
    return checked.result.status == "finished"


def _damaged(run: StoredRun, fault: str) -> str:
    return (
        f"the curve of run {run.run_id} is left out: {fault}. Restore the file, or train the run "
        "again with run --retry-failed"
    )


def _with_flops(run: StoredRun, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    config = run.planned.config
    per_step = run.planned.flops / config.steps
    counts = flops.count_params(config.shape)
    return [
        {
            "run_id": run.run_id,
            "seed": config.seed,
            "params": counts.total,
            "params_non_embedding": counts.non_embedding,
            "params_active": counts.active,
            "tokens": row["tokens"],
            "flops": row["step"] * per_step,
            **{name: value for name, value in row.items() if name.startswith(_KEPT)},
        }
        for row in rows
    ]
