"""The one law that lies closest to a weighted average of many."""

import numpy as np

from scaling_jax.laws import allocation
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.tables.select import Rows

# Points at which the average is evaluated to be described: budgets from the smallest fitted one to
# this many times the largest, and model sizes around the optimum of each.
_BEYOND, _N_BUDGETS, _N_SIZES, _WIDTH = 100.0, 12, 7, 8.0


def described(rows: Rows, constants_JxP: np.ndarray, weight_J: np.ndarray) -> np.ndarray:
    """Constants of the law `skaling` that lies closest to the weighted mean of the log losses.

    Args:
        rows: the fitted rows, which say over what budgets and sizes.
        constants_JxP: of the averaged cases of that law.
        weight_J: their weights, with the sum one.
    """
    from scipy.optimize import least_squares

    at = _grid(rows, constants_JxP[weight_J.argmax()])
    aim_G = weight_J @ np.log(SKALING.value(constants_JxP[:, None, :], at))
    centre = {name: float(np.log(at[name]).mean()) for name in SKALING.variables}
    start_P = constants_JxP[weight_J.argmax()].copy()
    start_P[0] = max(start_P[0], 0.3 * float(rows.loss.min()))

    def off(theta_P: np.ndarray) -> np.ndarray:
        value_G = SKALING.value(SKALING.constants(theta_P, centre), at)
        missed_G: np.ndarray = np.log(value_G) - aim_G
        return missed_G

    with np.errstate(all="ignore"):
        found = least_squares(off, SKALING.theta(start_P, centre), method="lm", max_nfev=2000)
    return SKALING.constants(found.x, centre)


def _grid(rows: Rows, constants_P: np.ndarray) -> dict[str, np.ndarray]:
    low, high = float(rows.flops.min()), _BEYOND * float(rows.flops.max())
    flops_G = np.repeat(np.geomspace(low, high, _N_BUDGETS), _N_SIZES)
    factor_G = np.tile(np.geomspace(1 / _WIDTH, _WIDTH, _N_SIZES), _N_BUDGETS)
    best = allocation.form_frontier(SKALING, constants_P, flops_G, rows.compute).params
    middle_G = np.exp(np.interp(np.log(flops_G), *_by_compute(rows)))
    params_G = np.where(np.isfinite(best) & (best > 0), best, middle_G) * factor_G
    tokens_G = flops_G / rows.compute.of(params_G, np.ones_like(params_G))
    return {"params": params_G, "tokens": tokens_G}


def _by_compute(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(rows.flops)
    return np.log(rows.flops[order]), np.log(rows.params[order])
