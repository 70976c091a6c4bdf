"""The error of one law beyond the data, from fits of the law below rolled cut-offs."""

import dataclasses
from functools import partial

import numpy as np

from scaling_jax.laws import allocation
from scaling_jax.laws.approaches.backtest import ROWS_PER_CONSTANT
from scaling_jax.laws.catalogue import PowerSum
from scaling_jax.laws.extrapolation.cutoffs import (
    at_or_below,
    cutoffs,
    error_beyond,
    reach,
    sizes_of,
)
from scaling_jax.laws.extrapolation.other_laws import refitted
from scaling_jax.laws.extrapolation.rates import error_of_form, errors_of_optimum
from scaling_jax.laws.extrapolation.row_weights import above_frontier
from scaling_jax.laws.form_error import FormError, Simulated
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.optimum import PointFit, refit
from scaling_jax.laws.tables.select import Rows


def law_form_error(
    rows: Rows, found: LawFit, point: PointFit, options: Options
) -> FormError | None:
    """How fast the fitted law's errors grow beyond the data.

    The law is fitted to the rows at or below each cut-off, as it was to all rows, and predicts the
    rows above. Where the table leaves no cut-off, the error is what published tables show.

    Args:
        rows: what the law was fitted to.
        found: the fit.
        point: the fit's optimum, from which fits below the cut-offs start.
        options: of the fit.

    Returns:
        None for a law that is not of the loss in size, data or compute.
    """
    if not rows.has_size_and_data or not {"params", "tokens"} & set(found.definition.variables):
        return None
    law, size_N = found.definition, sizes_of(rows)
    ends = cutoffs(rows, ROWS_PER_CONSTANT * len(law.names))
    seen_KxN = np.array([at_or_below(size_N, end) for end in ends])
    # Rows not seen get weight 0 instead of being dropped: arrays keep their shape, and every
    # cut-off runs the same compiled program.
    constants_KxP = refit(
        law,
        rows.variables,
        point,
        np.tile(rows.loss, (len(ends), 1)),
        seen_KxN * rows.weight,
        objective=objective_named(options.objective or law.default_objective),
    )
    above_N, params_errors_K = np.zeros(len(rows)), np.full(len(ends) - 1, np.nan)
    if law.frontier is not None:
        above_N = above_frontier(law, point.constants_P, rows)
        optimum = partial(_log_optimum, rows, found, constants_KxP)
        params_errors_K = errors_of_optimum(rows, ends, optimum)
    with np.errstate(all="ignore"):
        errors_KxN = np.log(rows.loss / law.value(constants_KxP[:, None, :], rows.variables))
    below = zip(ends[1:], errors_KxN[1:], strict=True)
    loss_errors = [error_beyond(e_N, size_N, end, above_N) for end, e_N in below]
    others, reached = _others(rows, found, options), reach(size_N, ends[1:], above_N)
    return error_of_form(ends, np.array(loss_errors), params_errors_K, others, reached)


def _others(rows: Rows, found: LawFit, options: Options) -> tuple[Simulated, ...]:
    """The law fitted to losses of other laws; none for one that is no sum of powers of N and D."""
    law = found.definition
    if not isinstance(law, PowerSum) or {"params", "tokens"} != set(law.variables):
        return ()
    constants_P = law.ordered(found.params)
    if law.frontier is None or not (found.is_logged and np.isfinite(constants_P).all()):
        return ()
    values = {name: rows.variables[name] for name in law.variables}
    held = (*law.held, *options.fixed)
    return refitted(law, constants_P, values, float(found.objective["noise"]), held)


def _log_optimum(
    rows: Rows, found: LawFit, constants_KxP: np.ndarray, k: int, flops_G: np.ndarray
) -> np.ndarray:
    constants_1xP = constants_KxP[k][None]
    at = allocation.form_frontier(found.definition, constants_1xP, flops_G, rows.compute)
    with np.errstate(all="ignore"):
        log_params_G: np.ndarray = np.log(at.params)
    return log_params_G


def with_form_error(found: LawFit, point: PointFit, rows: Rows, options: Options) -> LawFit:
    """The fit with the error of its law beyond the data, where there are intervals to widen."""
    if not options.bootstrap:
        return found
    return dataclasses.replace(found, form_error=law_form_error(rows, found, point, options))
