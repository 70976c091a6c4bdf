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
    """

    loss_rate: float
    params_rate: float
    cutoffs: tuple[float, ...]
    freedom: float = math.inf
    between: float = 0.5

    def loss_deviation(self, ratio: float) -> float:
        """Standard deviation of log loss at `ratio` times the largest C fitted."""
        return float(_DEVIATION_PER_MEDIAN * self.loss_rate * growth(ratio))

    def params_deviation(self, ratio: float) -> float:
        """Standard deviation of log N_opt at `ratio` times the largest C fitted."""
        return float(_DEVIATION_PER_MEDIAN * self.params_rate * growth(ratio))


def widened(draws_B: np.ndarray, deviation: float, freedom: float = math.inf) -> np.ndarray:
    """Draws with an error by Student's t of their logs added, the same at every call."""
    normal_B = np.random.default_rng(1).standard_normal(len(draws_B))
    with np.errstate(over="ignore"):
        wider_B: np.ndarray = draws_B * np.exp(deviation * _students(normal_B, freedom))
    return wider_B


def _students(normal_B: np.ndarray, freedom: float) -> np.ndarray:
    """Standard normal numbers as those of Student's t with the same probabilities."""
    if not math.isfinite(freedom):
        return normal_B
    from scipy.special import ndtr, stdtrit

    found_B: np.ndarray = stdtrit(freedom, ndtr(np.clip(normal_B, -_FARTHEST, _FARTHEST)))
    return found_B


def combined(deviation: float, between: float, share: float = 1.0) -> float:
    """The error of an average beyond the data, from cut-offs and from the scatter of its members.

    Args:
        deviation: what the average's predictions beyond cut-offs erred by, in logs.
        between: standard deviation of the members' predictions, in logs.
        share: how much of the scatter adds, in squares.
    """
    return math.sqrt(deviation**2 + share * between**2)


# Resamples far out say nothing of an interval, and their tails by t would be without bound.
_FARTHEST = 5.0


def scaled(
    draws_B: np.ndarray, value: float, deviation: float, freedom: float = math.inf
) -> np.ndarray:
    """Draws about `value` whose logs scatter by `deviation`, with the tails of Student's t.

    Each keeps its rank and the draws their skew; draws that are all alike become drawn from t.
    """
    with np.errstate(all="ignore"):
        logs_B = np.log(draws_B)
    known = logs_B[np.isfinite(logs_B)]
    low, middle, high = np.quantile(known, [0.16, 0.5, 0.84]) if len(known) else (0.0, 0.0, 0.0)
    if high <= low:
        return widened(np.full(len(draws_B), value), deviation, freedom)
    with np.errstate(over="ignore"):
        z_B = _students((logs_B - middle) * 2 / (high - low), freedom)
        wide_B: np.ndarray = value * np.exp(deviation * z_B)
    return wide_B


def beyond_draws(deviation: float, draws_B: np.ndarray) -> float:
    """The part of an error that the scatter of draws does not already hold, in logs.

    Errors of rolled cut-offs contain noise as well as the error of the form, and so do draws: what
    the draws already scatter is taken out before the two are added in squares.
    """
    logs_B = np.log(draws_B[np.isfinite(draws_B) & (draws_B > 0)])
    if not len(logs_B):
        return deviation
    low, high = np.quantile(logs_B, [0.16, 0.84])
    return math.sqrt(max(deviation**2 - ((high - low) / 2) ** 2, 0.0))


@dataclass(frozen=True)
class Member:
    """One combination of form, rows and weights that a prediction averages.

    Attributes:
        form: its name.
        within: rows kept lie at most this share of the loss above the frontier; None for all.
        compute_power: a row's weight is (C / C_max) to this power.
        score: typical error of its predictions of runs beyond rolled cut-offs, in shares of the
            loss per unit of `growth`; NaN where the table leaves no cut-off.
        weight: its share in the average; all weights sum to one.
        constants: of the law, fitted to all rows.
        n_draws: how many of the fit's draws are resampled fits of this combination.
    """

    form: str
    within: float | None
    compute_power: float
    score: float
    weight: float
    constants: tuple[float, ...]
    n_draws: int = 0

    @property
    def name(self) -> str:
        """The combination in words."""
        rows = "all rows" if self.within is None else f"rows within {100 * self.within:g} %"
        weights = f"weights C^{self.compute_power:g}" if self.compute_power else "equal weights"
        return f"{self.form}, {rows}, {weights}"
