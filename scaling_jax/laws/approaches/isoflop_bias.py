"""The bias of IsoFLOP minima that remains without noise, measured on the fitted law's curves."""

from collections.abc import Sequence

import numpy as np

from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.approaches.isoflop_minimum import curve_minima
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.conventions import Compute, Method
from scaling_jax.laws.solver.convergence import converged
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.tables.select import Rows


def grid_biases(
    curves: Sequence[tuple[float, np.ndarray]], rows: Rows, method: Method
) -> list[float] | None:
    """`ln(estimate / optimum)` of N_opt for each (budget, log sizes), zero where it is unknown.

    The Chinchilla law is fitted to all rows and evaluated, without noise, at the sizes of each
    curve; the method's minimum is compared with the law's own. In log N the curve has a cubic
    term unless alpha = beta, which moves the vertex of a parabola (Czech et al. 2026, arXiv
    2603.22339).

    Args:
        curves: FLOPs and log sizes of every budget.
        rows: the rows of all budgets.
        method: how minima are estimated.

    Returns:
        None where the rows do not determine the law, or N and D not C: then no bias is known.
    """
    distinct = len(np.unique(np.stack([rows.params, rows.tokens]), axis=1).T)
    if distinct <= len(CHINCHILLA.names):
        return None
    if rows.compute.undetermined:
        return None
    point = optimum(CHINCHILLA, rows.variables, rows.loss)
    if not converged(point):
        return None
    return [_bias(point.constants_P, budget, x_N, method, rows.compute) for budget, x_N in curves]


def _bias(
    constants_P: np.ndarray, budget: float, x_N: np.ndarray, method: Method, compute: Compute
) -> float:
    params_N = np.exp(x_N)
    tokens_N = budget / compute.of(params_N, 1.0)
    values = {"params": params_N, "tokens": tokens_N}
    found = float(curve_minima(method, x_N, CHINCHILLA.value(constants_P, values)[None]).x_B[0])
    true = float(np.log(form_frontier(CHINCHILLA, constants_P, budget, compute).params))
    # Where the law's own optimum lies outside the grid, the method extrapolates, and the error is
    # not the bias of an interior minimum.
    known = x_N.min() < true < x_N.max() and np.isfinite(found)
    return found - true if known else 0.0
