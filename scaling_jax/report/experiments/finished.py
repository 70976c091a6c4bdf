"""The finished runs of an experiment, their curves, and means over its seeds."""

import math
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit
    from scaling_jax.study import Store


def finished(store: "Store") -> "pd.DataFrame":
    """The records of the finished runs of `store`.

    Raises:
        InputError: no run has finished.
    """
    from scaling_jax.study import collect

    return finished_rows(collect(store))


def finished_rows(records: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of the finished runs.

    Raises:
        InputError: no run has finished.
    """
    return _require_rows(records[records["status"] == "finished"])


def held_out_curves(store: "Store") -> "pd.DataFrame":
    """The held-out losses along the finished runs of `store`.

    Raises:
        InputError: no run has finished, or a run is evaluated only at its end.
    """
    from scaling_jax.study import curves

    return _require_rows(curves(store, of="held_out"))


def _require_rows(table: "pd.DataFrame") -> "pd.DataFrame":
    if table.empty:
        raise InputError("no run of this study has finished: train it first")
    return table


def mean_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """Student's interval of the mean of independent values; NaN for fewer than two.

    >>> low, high = mean_interval(np.array([1.0, 2.0, 3.0]), 0.9)
    >>> round(low, 2), round(high, 2)
    (0.31, 3.69)
    """
    from scipy.stats import t

    known = values[np.isfinite(values)]
    if len(known) < 2:
        return math.nan, math.nan
    stderr = float(known.std(ddof=1)) / math.sqrt(len(known))
    reach = float(t.ppf((1 + level) / 2, len(known) - 1)) * stderr
    return float(known.mean()) - reach, float(known.mean()) + reach


def constants_text(fit: "Fit") -> str:
    """A line for each constant of a fit that was not held, with its interval."""
    intervals = fit.intervals or {}
    lines = []
    for name, value in fit.params.items():
        low, high = intervals.get(name, (math.nan, math.nan))
        if math.isnan(low):
            lines.append(f"  {name:8} {value:.4g}")
        elif low < high:
            lines.append(f"  {name:8} {value:.4g} ({low:.4g} to {high:.4g})")
    return "\n".join(lines)
