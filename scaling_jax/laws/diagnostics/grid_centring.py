"""Notes on IsoFLOP grids whose centre drifts away from the fitted optimum."""

import numpy as np

from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.select import Rows

_LEAST_BUDGETS, _LEAST_SIZES = 3, 3
# Czech et al. 2026: a drift by a factor of 3 makes parabolas extrapolate up to 34.6 % off.
_LEAST_DRIFT = 1.5
# Standard errors of the drift's slope: three budgets or more scatter about a line by chance.
_LEAST_T = 3.0


def drifting_grid(rows: Rows, fit: Fit) -> tuple[Note, ...]:
    """A sentence where the middle size of each budget drifts from N_opt as budgets grow.

    Czech et al. 2026 (arXiv 2603.22339): grids off centre by one factor at every budget shift
    the optimum of approach 2; a centre that drifts with the budget changes its exponent. The law
    of approach 3 stays unbiased, but the largest budgets, on which extrapolations rest, then show
    one side of the optimum only.

    Args:
        rows: the fitted rows, of known budgets.
        fit: a fit of approach 2 or 3; approach 1 has no grid.
    """
    if fit.approach == 1 or rows.budget is None or not fit.exponents:
        return ()
    budgets_G = [b for b in np.unique(rows.budget) if _sizes(rows, b) >= _LEAST_SIZES]
    if len(budgets_G) < _LEAST_BUDGETS:
        return ()
    x_G = np.log(budgets_G)
    off_G = np.array([_off_centre(rows, fit, budget) for budget in budgets_G])
    if not np.isfinite(off_G).all():
        return ()
    slope, level, t = _line(x_G, off_G)
    first, last = np.exp(level + slope * (x_G[[0, -1]] - x_G.mean()))
    drift = max(first / last, last / first)
    if (
        not np.isfinite(drift)
        or drift < _LEAST_DRIFT
        or t < _LEAST_T
        or not _is_certain(fit, slope)
    ):
        return ()
    consequence = (
        "parabolas then miss the minimum by a share that changes with the budget, which bends a"
        if fit.approach == 2
        else "the largest budgets then show mostly one side of the optimum"
    )
    text = (
        f"The grid drifts off centre: its middle size goes from {first:.2g} times the fitted "
        f"optimum at {budgets_G[0]:.3g} FLOPs to {last:.2g} times at {budgets_G[-1]:.3g}, by a "
        f"factor of {drift:.1f}; {consequence}. Centre each budget's sizes on its optimum."
    )
    return (Note(NoteCode.GRID_DRIFTS, text),)


def _is_certain(fit: Fit, slope: float) -> bool:
    """Whether the centres drift one way for every exponent in the interval of `a`.

    N_opt grows as C^a, so an exponent that is off by some amount tilts all centres by as much.
    """
    if fit.exponent_intervals is None:
        return True
    low, high = np.subtract(fit.exponent_intervals["a"], fit.exponents["a"])
    return bool((slope - low) * (slope - high) > 0)


def _sizes(rows: Rows, budget: float) -> int:
    return len(np.unique(rows.params[rows.budget == budget]))


def _off_centre(rows: Rows, fit: Fit, budget: float) -> float:
    """The logarithm of the budget's geometric mean size over its N_opt."""
    sizes = np.unique(rows.params[rows.budget == budget])
    return float(np.log(sizes).mean() - np.log(fit.optimal(float(budget)).params))


def _line(x_G: np.ndarray, y_G: np.ndarray) -> tuple[float, float, float]:
    """The least-squares slope, the mean of y, and the slope's |t|."""
    dx_G = x_G - x_G.mean()
    slope = dx_G @ y_G / (dx_G @ dx_G)
    rest_G = y_G - y_G.mean() - slope * dx_G
    error = np.sqrt(rest_G @ rest_G / (len(x_G) - 2) / (dx_G @ dx_G))
    return float(slope), float(y_G.mean()), float(abs(slope) / max(error, 1e-12))
