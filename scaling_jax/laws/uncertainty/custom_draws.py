"""Bootstrap draws of laws of any kind."""

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import PowerSum
from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.optimum import PointFit, refit
from scaling_jax.laws.tables.columns import Columns
from scaling_jax.laws.uncertainty.bootstrap import resamples, signed


def draws(
    form: PowerSum | FunctionLaw,
    columns: Columns,
    point: PointFit,
    noise_N: np.ndarray,
    objective: Objective,
    options: Options,
) -> np.ndarray | None:
    """Constants `BxP` refitted to resamples; None where none are asked for."""
    if options.bootstrap == 0:
        return None
    y_BxN, weights_BxN = _resamples(form, columns, point, noise_N, objective, options)
    rows = columns.values, point, y_BxN, weights_BxN * columns.weights_N
    if isinstance(form, PowerSum):
        return refit(form, *rows, objective=objective)
    from scaling_jax.laws.solver.autodiff import refit_function

    return refit_function(form, *rows, objective=objective)


def require_known_rows(options: Options) -> None:
    """Refuse to resample runs, of which a law of any columns knows nothing.

    Raises:
        InputError: that is what is asked for.
    """
    if options.resampling == "runs":
        raise InputError("a law of other columns has no runs to resample: use residuals or rows")


def _resamples(
    form: PowerSum | FunctionLaw,
    columns: Columns,
    point: PointFit,
    noise_N: np.ndarray,
    objective: Objective,
    options: Options,
) -> tuple[np.ndarray, np.ndarray]:
    """Responses and weights `BxN`."""
    y_N, count, seed = columns.response_N, options.bootstrap, options.seed
    if options.resampling == "rows" or isinstance(form, PowerSum) or form.is_logged(objective):
        fitted_N, quantile = y_N * np.exp(-point.residuals_N), objective.quantile
        kind = options.resampling
        return resamples(kind, y_N, fitted_N, noise_N, count, seed, quantile=quantile)
    drawn_BxN = signed(noise_N, count, seed, objective.quantile)
    return y_N - point.residuals_N + drawn_BxN, np.ones(drawn_BxN.shape)
