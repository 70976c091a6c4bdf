"""The error of one law beyond the data, from fits of the law below rolled cut-offs."""

import dataclasses

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws import allocation
from scaling_jax.laws.extrapolation.average import form_error
from scaling_jax.laws.extrapolation.cutoffs import at_or_below, cutoffs, scored, sizes_of
from scaling_jax.laws.extrapolation.row_weights import above_frontier
from scaling_jax.laws.fitted import LawFit
from scaling_jax.laws.form_error import FormError, growth
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.options import Options
from scaling_jax.laws.priors import priors_of
from scaling_jax.laws.solver.convergence import converged
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.tables.select import Rows

_ROWS_PER_CONSTANT = 2


def law_form_error(rows: Rows, found: LawFit, options: Options) -> FormError | None:
    """How fast the fitted law's errors grow beyond the data.

    The law is fitted to the rows at or below each cut-off, as it was to all rows, and predicts the
    rows above. Where the table leaves no cut-off, the error is what published tables show.

    Returns:
        None for a law that is not of the loss in size, data or compute.
    """
    if not rows.has_size_and_data or not {"params", "tokens"} & set(found.definition.variables):
        return None
    law, size_N = found.definition, sizes_of(rows)
    ends = cutoffs(rows, _ROWS_PER_CONSTANT * len(law.names))
    above_N = np.zeros(len(rows))
    best_params = np.nan
    if law.frontier is not None:
        whole_P = np.array(list(found.params.values()))
        above_N = above_frontier(law, whole_P, rows)
        best_params = _log_optimum(rows, found, whole_P)
    loss_errors, params_errors, kept = [], [], [ends[0]]
    for end in ends[1:]:
        constants_P = _constants_below(rows, found, options, at_or_below(size_N, end))
        if constants_P is None:
            continue
        scored_N = scored(size_N, end, above_N)
        predicted_N = law.value(constants_P, rows.variables)
        errors_N = np.abs(np.log(rows.loss / predicted_N))[scored_N]
        loss_errors.append(float(np.median(errors_N / growth(size_N[scored_N] / end))))
        here = _log_optimum(rows, found, constants_P) if law.frontier is not None else np.nan
        params_errors.append(here - best_params)
        kept.append(end)
    return form_error(tuple(kept), np.array(loss_errors), np.array(params_errors))


def _constants_below(
    rows: Rows, found: LawFit, options: Options, seen_N: np.ndarray
) -> np.ndarray | None:
    """The law fitted to the rows seen; None where these do not determine the law."""
    law = found.definition
    try:
        # Rows not seen get weight 0 instead of being dropped: arrays keep their shape, and every
        # cut-off runs the same compiled program.
        point = optimum(
            law,
            rows.variables,
            rows.loss,
            rows.weight * seen_N,
            objective=objective_named(options.objective or law.default_objective),
            fixed=options.fixed,
            priors=priors_of(law, options.prior),
        )
    except InputError:
        return None
    return point.constants_P if converged(point) else None


def _log_optimum(rows: Rows, found: LawFit, constants_P: np.ndarray) -> float:
    largest = float(rows.flops.max())
    params = allocation.form_frontier(found.definition, constants_P, largest, rows.compute).params
    with np.errstate(all="ignore"):
        return float(np.log(params))


def with_form_error(found: LawFit, rows: Rows, options: Options) -> LawFit:
    """The fit with the error of its law beyond the data, where there are intervals to widen."""
    if not options.bootstrap:
        return found
    return dataclasses.replace(found, form_error=law_form_error(rows, found, options))
