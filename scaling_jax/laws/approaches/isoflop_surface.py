"""IsoFLOP minima of a fitted surface: the law L(N, D) along each budget's FLOPs."""

from collections.abc import Sequence

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.approaches.isoflop_minimum import CurveMinima, curve_minima
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.convergence import require_converged
from scaling_jax.laws.solver.optimum import optimum, refit
from scaling_jax.laws.tables.select import Rows
from scaling_jax.laws.uncertainty.bootstrap import noise_of_rows, resamples


def surface_minima(
    groups: Sequence[tuple[float, np.ndarray]], rows: Rows, options: Options
) -> list[tuple[CurveMinima, CurveMinima]]:
    """The minimum of the Chinchilla law at each budget, in log params and in log tokens.

    The law is fitted once to the runs of all budgets, and to resamples of its residuals, so a
    budget borrows from the others. A budget whose own runs have no minimum between its smallest
    and largest model still has none: NaN in the first draw.

    Args:
        groups: FLOPs of every budget, with the indices of its rows.
        rows: the rows of all budgets.
        options: of the resamples.

    Raises:
        InputError: the fit of the law does not converge, or N and D do not determine C.
    """
    if rows.compute.undetermined:
        raise InputError(rows.compute.undetermined)
    index_N = np.concatenate([index for _, index in groups])
    constants_RxP = _surfaces(rows, index_N, options)
    return [_minima(constants_RxP, rows, index) for _, index in groups]


def _surfaces(rows: Rows, index_N: np.ndarray, options: Options) -> np.ndarray:
    """The law's constants: fitted to the rows, then to every resample."""
    values = {name: column[index_N] for name, column in rows.variables.items()}
    loss_N, weight_N = rows.loss[index_N], rows.weight[index_N]
    point = optimum(CHINCHILLA, values, loss_N, weight_N)
    require_converged(CHINCHILLA, point, len(index_N))
    if not options.bootstrap:
        return point.constants_P[None]
    fitted_N = loss_N * np.exp(-point.residuals_N)
    noise_N = noise_of_rows(point, objective_named("huber"))
    loss_BxN, weights_BxN = resamples(
        "residuals", loss_N, fitted_N, noise_N, options.bootstrap, options.seed
    )
    drawn_BxP = refit(CHINCHILLA, values, point, loss_BxN, weights_BxN * weight_N)
    return np.concatenate([point.constants_P[None], drawn_BxP])


def _minima(
    constants_RxP: np.ndarray, rows: Rows, index: np.ndarray
) -> tuple[CurveMinima, CurveMinima]:
    x_N, y_N = np.log(rows.params[index]), np.log(rows.tokens[index])
    flops = float(np.exp(np.log(rows.compute.of(np.exp(x_N), np.exp(y_N))).mean()))
    best = form_frontier(CHINCHILLA, constants_RxP, flops, rows.compute)
    assert best.loss is not None
    at = {"params": rows.params[index], "tokens": rows.tokens[index]}
    fitted_1xN = CHINCHILLA.value(constants_RxP[:1, None], at)
    in_params_R = _where_the_runs_turn(x_N, np.log(best.params), rows.loss[index])
    in_tokens_R = _where_the_runs_turn(y_N, np.log(best.tokens), rows.loss[index])
    return (
        CurveMinima(in_params_R, best.loss, fitted_1xN, None),
        CurveMinima(in_tokens_R, best.loss, fitted_1xN, None),
    )


def _where_the_runs_turn(z_N: np.ndarray, z_R: np.ndarray, loss_N: np.ndarray) -> np.ndarray:
    """The minima, without the first one where the budget's own runs have no interior minimum."""
    own = curve_minima("window", z_N, loss_N[None]).x_B[0]
    if z_N.min() < own < z_N.max():
        return z_R
    return np.concatenate([[np.nan], z_R[1:]])
