"""Intervals of the optimal loss at each measured budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.laws.extrapolation.budget_minima import budget_minima
from scaling_jax.laws.tables.select import Rows

_LEAST_POINTS = 3


@dataclass(frozen=True)
class Bands:
    """What the optimal loss is measured to be.

    Attributes:
        flops: budgets, ascending.
        low, high: ends of the loss at each budget.
    """

    flops: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def measured_bands(
    flops_G: ArrayLike,
    loss_G: ArrayLike,
    error_G: ArrayLike,
    level: float = LEVEL,
    *,
    degrees: float = math.inf,
    widened: float = 1.0,
) -> Bands:
    """Intervals that hold the losses of all budgets at once with probability `level`.

    Each of G intervals has the level `1 - (1 - level) / G` (Bonferroni), by Student's t.

    >>> from scaling_jax.laws.extrapolation.bands import measured_bands
    >>> bands = measured_bands([1e18, 1e19, 1e20], [3.0, 2.7, 2.5], [0.01, 0.01, 0.01])
    >>> round(bands.high[0] - 3, 4)
    0.0213

    Args:
        flops_G: budgets.
        loss_G: the optimal loss at each.
        error_G: its standard errors, in the unit of the loss.
        level: of all intervals together.
        degrees: degrees of freedom of the standard errors.
        widened: factor on the half-width, for errors that are no noise, such as tuning.

    Raises:
        InputError: fewer than 3 budgets, a budget given twice, or a number out of its range.
    """
    from scipy.stats import t as student

    columns = [np.asarray(x, np.float64) for x in (flops_G, loss_G, error_G)]
    _require_measured(*columns)
    if not 0 < level < 1:
        raise InputError(f"level {level} must lie between 0 and 1, such as 0.9")
    if not (widened > 0 and degrees > 0):
        raise InputError(
            f"the widening {widened:g} and the degrees of freedom {degrees:g} must be positive"
        )
    order = np.argsort(columns[0])
    flops_G, loss_G, error_G = (column[order] for column in columns)
    quantile = float(student.ppf(1 - (1 - level) / (2 * len(loss_G)), degrees))
    half_G = widened * quantile * error_G
    ends = (flops_G, loss_G - half_G, loss_G + half_G)
    return Bands(*(tuple(end.tolist()) for end in ends))


def bands_of(rows: Rows, level: float = LEVEL, *, widened: float = 1.0) -> Bands:
    """The intervals of the optimal loss at a table's budgets, by approach 2.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.laws.extrapolation.bands import bands_of
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> budget = np.repeat([1e18, 1e19, 1e20], 5)
    >>> n = np.tile(np.geomspace(0.25, 4, 5), 3) * np.sqrt(budget / 120)
    >>> loss = 3 * (budget / 1e18) ** -0.05 + 0.05 * np.tile([4, 1, 0, 1, 4], 3)
    >>> table = {"params": n, "tokens": budget / 6 / n, "loss": loss, "budget": budget}
    >>> bands_of(usable_rows(pd.DataFrame(table))).flops
    (1e+18, 1e+19, 1e+20)

    Args:
        rows: the usable rows of a table, in budgets.
        level: of all bands together.
        widened: factor on the half-width, for errors that are no noise, such as tuning.

    Raises:
        InputError: fewer than 3 budgets with a minimum between their smallest and largest size.
    """
    minima = budget_minima(rows)
    if len(minima) < _LEAST_POINTS:
        raise InputError(
            f"{len(minima)} budgets have 4 sizes and a minimum between the smallest and the "
            f"largest, but bounds of the optimal loss need {_LEAST_POINTS}: add budgets, or sizes "
            "at both ends"
        )
    loss_G = np.array([minimum.loss for minimum in minima])
    return measured_bands(
        [minimum.budget for minimum in minima],
        loss_G,
        loss_G * [minimum.error for minimum in minima],
        level,
        degrees=minima[0].degrees,
        widened=widened,
    )


def _require_measured(flops_G: np.ndarray, loss_G: np.ndarray, error_G: np.ndarray) -> None:
    if not (flops_G.ndim == 1 and flops_G.shape == loss_G.shape == error_G.shape):
        raise InputError(
            f"the budgets, losses and standard errors have the shapes {flops_G.shape}, "
            f"{loss_G.shape} and {error_G.shape}: give one of each per budget"
        )
    named: Sequence[tuple[str, np.ndarray]] = (
        ("budgets", flops_G),
        ("losses", loss_G),
        ("standard errors", error_G),
    )
    for name, values in named:
        wrong = ~(np.isfinite(values) & (values > 0))
        if wrong.any():
            raise InputError(f"the {name} must be positive numbers, not {values[wrong][0]:g}")
    if len(np.unique(flops_G)) < max(_LEAST_POINTS, len(flops_G)):
        raise InputError(
            f"{len(flops_G)} losses at {len(np.unique(flops_G))} budgets: bounds of the optimal "
            f"loss need at least {_LEAST_POINTS} budgets, each given once"
        )
