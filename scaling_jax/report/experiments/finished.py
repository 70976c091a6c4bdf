"""The finished runs of an experiment, and means over its seeds."""

import math
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.study import Store


def finished(store: "Store") -> "pd.DataFrame":
    """The records of the finished runs of `store`.

    Raises:
        InputError: no run has finished.
    """
    from scaling_jax.study import collect

    records = collect(store)
    done = records[records["status"] == "finished"]
    if done.empty:
        raise InputError("no run of this study has finished: train it first")
    return done


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
