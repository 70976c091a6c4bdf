"""The error of a fit beyond the reach of its cut-offs, where losses may follow another law."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from scaling_jax.laws import allocation
from scaling_jax.laws.catalogue import SKALING, Law
from scaling_jax.laws.conventions import Compute
from scaling_jax.laws.form_error import FormError, Simulated

# The largest error over the laws of other forms is taken as half of a 90 % interval.
_HALF_WIDTH = 1.645


def loss_deviation(
    error: FormError | None, law: Law, run: Mapping[str, float], ratio: float
) -> float:
    """Standard deviation of a predicted log loss; zero where no error of the form is known.

    Args:
        error: of the fit.
        law: fitted.
        run: variables of the run asked about.
        ratio: how far the run lies beyond the data.
    """
    if error is None:
        return 0.0
    hidden = _loss_error(error.simulated, law, run)
    return _deviation(error.unseen(ratio), error.loss_deviation(ratio), hidden)


def params_deviation(
    error: FormError, law: Law, ratio: float, largest: float, compute: Compute
) -> float:
    """Standard deviation of log N_opt at `ratio` times the largest FLOPs fitted."""
    hidden = _params_error(error.simulated, law, ratio * largest, compute)
    return _deviation(error.unseen(ratio), error.params_deviation(ratio), hidden)


def _deviation(unseen: float, measured: float, simulated: float) -> float:
    """What cut-offs measure, and beyond their reach no less than laws of other forms may hide.

    Args:
        unseen: how much of the square of the simulated error counts.
        measured: the deviation at the asked distance that cut-offs show.
        simulated: the largest error there over the laws of other forms.
    """
    more = max((simulated / _HALF_WIDTH) ** 2 - measured**2, 0.0)
    return math.sqrt(measured**2 + unseen * more)


def _loss_error(simulated: Sequence[Simulated], law: Law, variables: Mapping[str, float]) -> float:
    """The largest error of log loss over the laws of other forms; zero without any."""
    if not simulated or not {"params", "tokens"}.issubset(variables):
        return 0.0
    with np.errstate(all="ignore"):
        fitted_T = np.log(law.value(_stacked(simulated, "fitted"), variables))
        truth_T = np.log(SKALING.value(_stacked(simulated, "truth"), variables))
    return _largest(simulated, fitted_T - truth_T)


def _params_error(
    simulated: Sequence[Simulated], law: Law, flops: float, compute: Compute
) -> float:
    """The same of log N_opt at a budget."""
    if not simulated:
        return 0.0
    fitted = allocation.form_frontier(law, _stacked(simulated, "fitted"), flops, compute).params
    truth = allocation.form_frontier(SKALING, _stacked(simulated, "truth"), flops, compute).params
    with np.errstate(all="ignore"):
        return _largest(simulated, np.log(fitted) - np.log(truth))


def _stacked(simulated: Sequence[Simulated], name: str) -> np.ndarray:
    return np.array([getattr(each, name) for each in simulated])


def _largest(simulated: Sequence[Simulated], error_T: np.ndarray) -> float:
    share_T = np.array([each.share for each in simulated])
    known_T = np.isfinite(error_T)
    return float(np.max(share_T[known_T] * np.abs(error_T[known_T]), initial=0.0))
