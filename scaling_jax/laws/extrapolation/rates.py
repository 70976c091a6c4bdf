"""The rates at which errors grow beyond the data, from those beyond cut-offs and the usual ones.

The errors of one table's predictions are taken to follow Student's t about zero. Their scale is
learnt from that table's cut-offs and from what published tables show: each cut-off counts as one,
in logs, and all published tables together as one more. Degrees of freedom count the cut-offs.
"""

from collections.abc import Callable

import numpy as np

from scaling_jax.laws.extrapolation.budget_minima import budget_minima
from scaling_jax.laws.form_error import FormError, Simulated, growth
from scaling_jax.laws.tables.select import Rows

# Settled on published tables, by leaving one source of tables out at a time: docs/extrapolation.md.
USUAL_LOSS_RATE, USUAL_PARAMS_RATE = 0.006, 0.12
_USUAL_FREEDOM = 5
_BETWEEN = 0.25
_EXACT = 1e-5  # errors below this are all alike
# A fit below a cut-off that has no optimum errs by as much as any.
_WITHOUT_OPTIMUM = 0.5
_SAME_BUDGET = 1e-3


def error_of_form(
    ends: tuple[float, ...],
    loss_errors_K: np.ndarray,
    params_errors_K: np.ndarray,
    simulated: tuple[Simulated, ...] = (),
    reach: float = 1.0,
) -> FormError:
    """The form's error from the errors beyond each cut-off.

    Args:
        ends: the largest compute, then the cut-offs.
        loss_errors_K: median absolute errors of log loss, per unit of growth.
        params_errors_K: the same of log N_opt.
        simulated: fits of the same rows with losses of other laws.
        reach: how far beyond the cut-offs errors were scored, as a ratio of compute.
    """
    return FormError(
        loss_rate=_rate(loss_errors_K, USUAL_LOSS_RATE),
        params_rate=_rate(params_errors_K, USUAL_PARAMS_RATE),
        cutoffs=ends[1:],
        freedom=float(_USUAL_FREEDOM + len(ends) - 1),
        between=_BETWEEN,
        simulated=simulated,
        reach=reach,
    )


def errors_of_optimum(
    rows: Rows, ends: tuple[float, ...], log_params: Callable[[int, np.ndarray], np.ndarray]
) -> np.ndarray:
    """What fits below each cut-off err by in log N_opt, per unit of growth.

    The optimum of a fit is compared with the minima of the budgets above its cut-off, as their own
    curves measure them; without such a minimum, with the optimum of the fit to all rows at the
    largest compute.

    Args:
        rows: of the table.
        ends: the largest compute, then the cut-offs.
        log_params: log N_opt by the fit of that number at those FLOPs; no number where it has none.

    Returns:
        One number per cut-off.
    """
    minima = budget_minima(rows)
    flops_G = np.array([minimum.budget for minimum in minima])
    measured_G = np.log([minimum.params for minimum in minima])
    whole = log_params(0, np.array(ends[:1]))
    found = []
    for k, end in enumerate(ends[1:], start=1):
        above_G = flops_G > end * (1 + _SAME_BUDGET)
        at, wanted = (flops_G[above_G], measured_G[above_G])
        if not len(at):
            at, wanted = np.array(ends[:1]), whole
        off_G = np.abs(log_params(k, at) - wanted) / growth(at / end)
        found.append(np.median(np.where(np.isfinite(off_G), off_G, _WITHOUT_OPTIMUM)))
    errors_K: np.ndarray = np.minimum(np.array(found), _WITHOUT_OPTIMUM)
    return errors_K


def _rate(errors_K: np.ndarray, usual: float) -> float:
    """The geometric mean of the errors and of the usual one."""
    known = errors_K[np.isfinite(errors_K)]
    return float(np.exp(np.mean(np.log([usual, *np.maximum(known, _EXACT)]))))
