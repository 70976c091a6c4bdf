"""Training curves, smoothed, with sizes in the wanted count and FLOPs in the table's C."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import PARAMS_COLUMN, Count
from scaling_jax.laws.tables.select import Rows

if TYPE_CHECKING:
    import pandas as pd

# Hoffmann et al. 2022, section 3.1, smooth with a Gaussian of 10 steps before interpolating.
_SMOOTHING_STEPS = 10.0
_LEAST_RUNS = 4
_LEAST_CURVE = 5
CURVE_COLUMNS = ("run_id", "params", "tokens", "flops", "loss")
_READ = CURVE_COLUMNS[1:]


def smoothed_runs(
    curves: "pd.DataFrame", rows: Rows, count: Count
) -> Sequence[Mapping[str, np.ndarray]]:
    """Smoothed curves with ascending `flops`, in the table's C, and `params` of the count.

    Raises:
        InputError: missing columns, or fewer than 4 runs with a curve.
    """
    from scipy.ndimage import gaussian_filter1d

    curves = _counted(curves, rows, count)
    missing = [name for name in CURVE_COLUMNS if name not in curves]
    if missing:
        raise InputError(
            f"the curves lack the column {missing[0]!r}: approach 1 needs "
            f"{', '.join(CURVE_COLUMNS)}, several rows per run"
        )
    runs = []
    for _, run in curves.sort_values("flops").groupby("run_id", sort=True):
        columns = {name: run[name].to_numpy(np.float64) for name in run.columns if name in _READ}
        good = np.isfinite(columns["loss"]) & (columns["loss"] > 0)
        columns = {name: values[good] for name, values in columns.items()}
        if len(columns["loss"]) >= _LEAST_CURVE:
            # Held-out losses share their windows, and may be many steps apart.
            if "loss_of" not in run or not run["loss_of"].eq("held_out").all():
                columns["loss"] = gaussian_filter1d(
                    columns["loss"], _SMOOTHING_STEPS, mode="nearest"
                )
            runs.append(columns)
    if len(runs) < _LEAST_RUNS:
        raise InputError(
            f"{len(runs)} runs have a loss curve of {_LEAST_CURVE} points or more, but approach 1 "
            f"needs {_LEAST_RUNS}: give the losses along training, or use approach 2 or 3"
        )
    return runs


def _counted(curves: "pd.DataFrame", rows: Rows, count: Count) -> "pd.DataFrame":
    """The curves with `params` in the wanted count and `flops` in the table's C.

    Raises:
        InputError: the curves lack the count.
    """
    column = PARAMS_COLUMN[count]
    if column not in curves:
        raise InputError(
            f"the curves lack the column {column!r}, which count {count!r} needs: add it, or use "
            "count 'total'"
        )
    curves = curves.assign(params=curves[column])
    if rows.compute.source == "flops" or "tokens" not in curves:
        return curves
    params, tokens = (curves[name].to_numpy(np.float64) for name in ("params", "tokens"))
    return curves.assign(flops=rows.compute.of(params, tokens))
