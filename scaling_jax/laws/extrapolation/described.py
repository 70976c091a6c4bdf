"""The one law that lies closest to what a table's rows say of runs beyond them."""

import numpy as np

from scaling_jax.laws import allocation
from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.extrapolation.posterior import Posterior
from scaling_jax.laws.tables.select import Rows

# Runs at which the law is to agree: from the largest compute, which is where a law is asked, to
# this many times that, and sizes around the optimum of each budget within this factor.
_BEYOND, _N_BUDGETS = 60.0, 12
_WIDTH, _N_SIZES = 4.0, 7
# An optimum farther than this from the sizes of the rows, as a factor, is none.
_FARTHEST = 1e3
# The law is to agree to about this much of the loss, and its constants may move by about this
# factor's logarithm from the mean of the fits.
_AGREED, _FREE = 0.01, 3.0
_MOST_EVALUATIONS = 200


def described(found: Posterior) -> np.ndarray:
    """Constants of the first form that lie closest to the mean over all forms and misfits.

    A misfit that the largest runs share is in part the law's: the law follows it there, where
    larger runs will share it too, and not the misfit of runs far below.

    Args:
        found: forms fitted to rows.
    """
    from scipy.optimize import least_squares

    law, start_F = found.laws[0], found.centre()
    params_G, tokens_G = _runs(found, law.constants(start_F))
    aim_G = found.foreseen(params_G, tokens_G).mean_G - np.log(law.least)
    u_GxKxP = law.design(params_G, tokens_G)
    stay_FxF = np.eye(len(start_F)) / _FREE

    def off(free_F: np.ndarray) -> np.ndarray:
        log_G, _ = law.log_loss(free_F, u_GxKxP)
        return np.concatenate([(log_G - aim_G) / _AGREED, stay_FxF @ (free_F - start_F)])

    def slopes(free_F: np.ndarray) -> np.ndarray:
        _, slope_GxF = law.log_loss(free_F, u_GxKxP)
        return np.concatenate([slope_GxF / _AGREED, stay_FxF])

    moved_F = least_squares(off, start_F, slopes, max_nfev=_MOST_EVALUATIONS).x
    return law.constants(moved_F)


def _runs(found: Posterior, constants_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and horizons of the runs."""
    rows = found.rows
    flops_G = np.repeat(found.largest * np.geomspace(1.0, _BEYOND, _N_BUDGETS), _N_SIZES)
    factor_G = np.tile(np.geomspace(1 / _WIDTH, _WIDTH, _N_SIZES), _N_BUDGETS)
    best_G = allocation.form_frontier(SKALING, constants_P, flops_G, rows.compute).params
    middle_G = np.exp(np.interp(np.log(flops_G), *_by_compute(rows)))
    # A law whose term of size has vanished has its optimum at sizes that nobody trains.
    with np.errstate(all="ignore"):
        is_near_G = np.abs(np.log(best_G / middle_G)) < np.log(_FARTHEST)
    params_G = np.where(is_near_G, best_G, middle_G) * factor_G
    return params_G, flops_G / rows.compute.of(params_G, np.ones_like(params_G))


def _by_compute(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(rows.flops)
    return np.log(rows.flops[order]), np.log(rows.params[order])
