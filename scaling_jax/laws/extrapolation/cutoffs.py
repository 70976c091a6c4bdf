"""Cut-offs in compute, below which a law is fitted and above which its predictions are scored.

Rolling the cut-off through the data is the evaluation on a rolling origin of forecasting (Tashman
2000, International Journal of Forecasting 16, 437); a random split would test interpolation only.
"""

import numpy as np

from scaling_jax.laws.form_error import growth
from scaling_jax.laws.tables.select import Rows

# How far below the largest compute cut-offs lie; beyond 32 few tables have enough rows left.
_RATIOS = (2.0, 4.0, 8.0, 16.0, 32.0)
_LEAST_ROWS = 10
# Steps are rounded, so that runs of one budget have slightly different FLOPs.
_SAME = 1e-9
# With fewer cut-offs, what they show of the error of a prediction is anecdote.
ENOUGH = 3
# Rows this near the frontier tell what a recommended run will do; others bend with the law's form.
NEAR = 0.05
_LEAST_NEAR = 3


def sizes_of(rows: Rows) -> np.ndarray:
    """Compute of every row: of its IsoFLOP budget, where there are budgets."""
    return rows.flops if rows.budget is None else rows.budget


def cutoffs(rows: Rows, least_rows: int = _LEAST_ROWS) -> tuple[float, ...]:
    """The largest compute, then the cut-offs below it with enough rows, from the largest.

    Cut-offs lie a factor of 2, 4, 8, 16 and 32 below the largest compute, moved down to a budget
    where the table has budgets, and have at least `least_rows` rows at or below them.
    """
    size_N = sizes_of(rows)
    largest = float(size_N.max())
    if rows.budget is None:
        below = [largest / ratio for ratio in _RATIOS]
    else:
        budgets = np.unique(size_N)
        reached = [budgets[budgets <= largest / ratio * 1.05] for ratio in _RATIOS]
        below = [float(each[-1]) for each in reached if len(each)]
    kept = [c for c in dict.fromkeys(below) if at_or_below(size_N, c).sum() >= least_rows]
    return (largest, *kept)


def at_or_below(size_N: np.ndarray, cutoff: float) -> np.ndarray:
    """Which rows a fit below the cut-off may see."""
    seen_N: np.ndarray = size_N <= cutoff * (1 + _SAME)
    return seen_N


def error_beyond(
    errors_N: np.ndarray, size_N: np.ndarray, cutoff: float, above_frontier_N: np.ndarray
) -> float:
    """Median absolute error of predictions beyond a cut-off, per unit of `growth`.

    Runs near the frontier are scored, or all runs beyond the cut-off where few are near.
    """
    scored_N = scored(size_N, cutoff, above_frontier_N)
    grown_N = growth(size_N[scored_N] / cutoff)
    return float(np.median(np.abs(errors_N[scored_N]) / grown_N))


def reach(size_N: np.ndarray, cutoffs: tuple[float, ...], above_frontier_N: np.ndarray) -> float:
    """How far beyond a cut-off the runs lie whose errors are scored, as a ratio of compute.

    It is the median of the runs beyond each cut-off, where that is largest: the error beyond a
    cut-off is a median as well. One without cut-offs.
    """
    found = [size_N[scored(size_N, end, above_frontier_N)] / end for end in cutoffs]
    return max((float(np.median(ratio_N)) for ratio_N in found), default=1.0)


def scored(size_N: np.ndarray, cutoff: float, above_frontier_N: np.ndarray) -> np.ndarray:
    """Which runs beyond a cut-off are scored: those near the frontier where there are enough."""
    beyond_N = ~at_or_below(size_N, cutoff)
    near_N = beyond_N & ~(above_frontier_N > NEAR)
    scored_N: np.ndarray = near_N if near_N.sum() >= _LEAST_NEAR else beyond_N
    return scored_N
