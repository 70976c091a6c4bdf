"""What a prediction beyond the data errs by because the law's form or its rows are wrong."""

import math
from dataclasses import dataclass

import numpy as np

# Errors grow with the logarithm of how far beyond the data a run is. They do not vanish at the
# largest fitted budget: a run there is beyond the data in part.
_AT_THE_EDGE = 1.0

# Standard deviation of the error, over the median absolute error that rolled cut-offs show. For a
# normal error that is 1.48; fits of the whole table have more budgets than those below a cut-off
# and err less at the same distance. Settled on published tables (docs/extrapolation.md).
_DEVIATION_PER_MEDIAN = 0.8


def growth(ratio: float | np.ndarray) -> np.ndarray:
    """How errors grow with `ratio` = C over the largest C fitted; 1 within the data."""
    distance = np.log(np.maximum(np.asarray(ratio, np.float64), 1.0))
    grown: np.ndarray = np.sqrt(_AT_THE_EDGE**2 + distance**2)
    return grown


@dataclass(frozen=True)
class Simulated:
    """What a fit of the same rows answers where losses follow a law of another form.

    Attributes:
        truth: constants of the law `skaling` that the losses follow.
        fitted: constants of the fit's own law, fitted to those losses.
        share: how much of the error counts; below one where the noise does not hide the form.
    """

    truth: tuple[float, ...]
    fitted: tuple[float, ...]
    share: float


@dataclass(frozen=True)
class FormError:
    """How fast the errors of predictions grow beyond the data, from rolled cut-offs.

    >>> from scaling_jax.laws.form_error import FormError
    >>> error = FormError(loss_rate=0.005, params_rate=0.05, cutoffs=(1e18, 1e19))
    >>> round(error.loss_deviation(100), 4)  # of log loss, a hundred times beyond
    0.0188

    Attributes:
        loss_rate: median absolute error of log loss per unit of `growth`.
        params_rate: the same of log N_opt.
        cutoffs: largest FLOPs of the fits whose predictions were scored, from the largest.
        freedom: degrees of freedom of Student's t that the errors follow, since a rate that few
            cut-offs show is itself uncertain; infinite in fits stored before there was any.
        between: how much of the scatter between forms and rows, in squares, adds to the error that
            cut-offs of their average show: the two are not independent.
        simulated: what the rows do not tell apart; empty in fits stored before there was any, and
            of laws that are no sums of powers of size and data.
        reach: how far the runs lay beyond a cut-off, as a ratio of FLOPs, whose errors were scored:
            their median beyond the cut-off where it is largest; 1 without cut-offs.
    """

    loss_rate: float
    params_rate: float
    cutoffs: tuple[float, ...]
    freedom: float = math.inf
    between: float = 0.5
    simulated: tuple[Simulated, ...] = ()
    reach: float = 1.0

    def unseen(self, ratio: float) -> float:
        """How much of an error at `ratio` times the largest C fitted no cut-off has measured.

        Zero where cut-offs reach the ratio; where they reach a part of it, in logs of compute, what
        the square of that part leaves; 1 without cut-offs.
        """
        if self.reach <= 1:
            return 1.0
        if ratio <= self.reach:
            return 0.0
        return 1 - (math.log(self.reach) / math.log(ratio)) ** 2

    def loss_deviation(self, ratio: float) -> float:
        """Standard deviation of log loss at `ratio` times the largest C fitted."""
        return float(_DEVIATION_PER_MEDIAN * self.loss_rate * growth(ratio))

    def params_deviation(self, ratio: float) -> float:
        """Standard deviation of log N_opt at `ratio` times the largest C fitted."""
        return float(_DEVIATION_PER_MEDIAN * self.params_rate * growth(ratio))
