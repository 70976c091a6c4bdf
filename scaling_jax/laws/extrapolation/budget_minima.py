"""The frontier as IsoFLOP curves measure it: each budget's minimum, with its standard error."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.approaches.isoflop_minimum import CurveMinima, curve_minima
from scaling_jax.laws.conventions import Compute
from scaling_jax.laws.tables.select import Rows

# One more than a parabola has constants, of which a budget's noise is the rest.
_LEAST_SIZES = 4
_CONSTANTS = 3
# Losses are printed to about six digits, so that no loss is known better than this.
_LEAST_ERROR = 1e-6


@dataclass(frozen=True)
class BudgetMinimum:
    """The minimum of one budget's losses over model sizes.

    Attributes:
        budget: FLOPs.
        params, tokens, loss: N, D and loss at the minimum, in the units of the table.
        error: standard error of the logarithm of `loss`.
        curvature: kappa in `ln L = ln L_min + kappa (ln N - ln N_opt)^2`.
        curvature_error: its standard error.
        reach: the largest factor between a size that the parabola was fitted to and N_opt.
        degrees: degrees of freedom of `error`, which all budgets share.
    """

    budget: float
    params: float
    tokens: float
    loss: float
    error: float
    curvature: float
    curvature_error: float
    reach: float
    degrees: int


@dataclass(frozen=True)
class _Curve:
    budget: float
    log_params_N: np.ndarray
    log_flops: float
    residual_N: np.ndarray
    found: CurveMinima

    @property
    def at(self) -> float:
        return float(self.found.x_B[0])


def budget_minima(rows: Rows) -> tuple[BudgetMinimum, ...]:
    """The budgets' minima by a parabola of loss in ln N, the smallest budget first.

    The parabola goes through the sizes within a factor of 4 of the best, since an IsoFLOP curve is
    no parabola far from its minimum. Budgets of fewer than 4 sizes, and budgets without a minimum
    between their smallest and largest size, are left out. The noise of a run is the scatter of
    relative residuals about the parabolas of all budgets; the minimum of least squares then has
    the variance `sigma^2 b' (X'X)^-1 b` with `b = (1, x, x^2)` at the minimum, where the loss
    does not change with the position of the minimum in first order.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.laws.extrapolation.budget_minima import budget_minima
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> budget = np.repeat([1e18, 1e19, 1e20], 7)
    >>> n = np.tile(np.geomspace(0.25, 4, 7), 3) * np.sqrt(budget / 120)
    >>> d = budget / (6 * n)
    >>> table = pd.DataFrame({"params": n, "tokens": d, "budget": budget})
    >>> table["loss"] = 1.7 + 400 / n**0.34 + 410 / d**0.28
    >>> [round(minimum.loss, 2) for minimum in budget_minima(usable_rows(table))]
    [3.53, 2.99, 2.6]

    Args:
        rows: the usable rows of a table; rows of weight 0 are left out.

    Returns:
        No minimum at all where the rows have no budgets.
    """
    if rows.budget is None or not rows.has_size_and_data:
        return ()
    curves = list(_curves(rows))
    sigma, degrees = _noise(curves)
    return tuple(
        _minimum(curve, sigma, degrees, rows.compute)
        for curve in curves
        if curve.log_params_N.min() < curve.at < curve.log_params_N.max()
    )


def _curves(rows: Rows) -> Iterator[_Curve]:
    assert rows.budget is not None
    for budget in np.unique(rows.budget):
        index = np.flatnonzero((rows.budget == budget) & (rows.weight > 0))
        x_N = np.log(rows.params[index])
        if len(np.unique(x_N)) < _LEAST_SIZES:
            continue
        loss_N = rows.loss[index]
        found = curve_minima("window", x_N, loss_N[None])
        fitted_N = found.fitted_BxN[0]
        kept_N = np.isfinite(fitted_N)
        if len(np.unique(x_N[kept_N])) >= _CONSTANTS:
            # C of N and D, the same for all runs of a budget but for rounding.
            logs = np.log(rows.compute.of(rows.params[index], rows.tokens[index]))
            yield _Curve(
                float(budget),
                x_N[kept_N],
                float(logs.mean()),
                np.log(loss_N[kept_N] / fitted_N[kept_N]),
                found,
            )


def _noise(curves: Sequence[_Curve]) -> tuple[float, int]:
    """Standard deviation of one run's log loss, and its degrees of freedom."""
    degrees = sum(len(curve.residual_N) - _CONSTANTS for curve in curves)
    squares = sum(float(curve.residual_N @ curve.residual_N) for curve in curves)
    return math.sqrt(squares / max(degrees, 1)), degrees


def _minimum(curve: _Curve, sigma: float, degrees: int, compute: Compute) -> BudgetMinimum:
    assert curve.found.quadratic_Bx3 is not None
    from_minimum_N = curve.log_params_N - curve.at
    basis_Nx3 = np.vander(from_minimum_N, _CONSTANTS, increasing=True)
    # About the minimum, b is (1, 0, 0).
    variance_3 = np.diag(np.linalg.pinv(basis_Nx3.T @ basis_Nx3))
    error, _, curvature_error = (max(sigma, _LEAST_ERROR) * np.sqrt(variance_3)).tolist()
    loss = float(curve.found.loss_B[0])
    return BudgetMinimum(
        budget=curve.budget,
        params=math.exp(curve.at),
        tokens=math.exp(curve.log_flops) / compute.of(math.exp(curve.at), 1.0),
        loss=loss,
        error=error,
        curvature=float(curve.found.quadratic_Bx3[0, 2]) / loss,
        curvature_error=curvature_error,
        reach=float(np.exp(np.abs(from_minimum_N).max())),
        degrees=degrees,
    )
