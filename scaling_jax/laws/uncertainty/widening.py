"""Resampled predictions made to scatter as much as predictions beyond the data err."""

import math
from typing import NamedTuple

import numpy as np

from scaling_jax.laws.allocation import Interval

# Resamples far out say nothing of an interval, and their tails by t would be without bound.
_FARTHEST = 5.0


class Beyond(NamedTuple):
    """What is known of a prediction's error besides the resamples of its fit.

    Attributes:
        deviation: standard deviation of predictions beyond cut-offs, in logs.
        between: standard deviation between forms and rows, in logs.
        unseen: how much of the error no cut-off has measured, from 0 to 1.
    """

    deviation: float
    between: float
    unseen: float


def wider(
    draws_B: np.ndarray,
    deviation: float,
    freedom: float,
    centre: float | None = None,
    unseen: float = 1.0,
) -> np.ndarray:
    """Draws with an error of their logs.

    Args:
        draws_B: of resampled fits.
        deviation: standard deviation of the error, noise of the fit included, in logs.
        freedom: degrees of freedom of Student's t that the error follows.
        centre: what the draws are scaled about. Without one the error adds to the draws, whose
            middle stays, and none of their percentiles comes nearer.
        unseen: with a centre, how far a percentile that would come nearer is moved back towards
            that of the draws, from 0 to 1. Errors beyond cut-offs hold the noise of the fits below
            them, so where cut-offs reach the run that is asked about they have measured both.
    """
    if centre is None:
        return holding(widened(draws_B, beyond_draws(deviation, draws_B), freedom), draws_B)
    scaled_B = scaled(draws_B, centre, deviation, freedom)
    scaled_B = np.where(np.isnan(scaled_B), np.inf, scaled_B)
    return outwards(scaled_B, holding(scaled_B, draws_B), unseen)


def outwards(inner: np.ndarray, outer: np.ndarray, share: float) -> np.ndarray:
    """Values moved from `inner` to `outer` by a share of the way.

    >>> outwards(np.array([2.0, np.inf]), np.array([1.0, np.inf]), 0.25).tolist()
    [1.75, inf]
    """
    if share in (0, 1):
        return outer if share else inner
    with np.errstate(invalid="ignore"):
        moved = inner + share * (outer - inner)
    return np.where(inner == outer, inner, moved)


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
    from scipy.special import ndtr

    return _students_quantile(ndtr(np.clip(normal_B, -_FARTHEST, _FARTHEST)), freedom)


def _students_quantile(share_B: np.ndarray, freedom: float) -> np.ndarray:
    """Quantiles of Student's t, or of a normal without limit to the degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    found_B: np.ndarray = stdtrit(freedom, share_B) if math.isfinite(freedom) else ndtri(share_B)
    return found_B


def combined(deviation: float, between: float, share: float = 1.0) -> float:
    """The error of an average beyond the data, from cut-offs and from the scatter of its members.

    Args:
        deviation: what the average's predictions beyond cut-offs erred by, in logs.
        between: standard deviation of the members' predictions, in logs.
        share: how much of the scatter adds, in squares.
    """
    return math.sqrt(deviation**2 + share * between**2)


def scaled(
    draws_B: np.ndarray, value: float, deviation: float, freedom: float = math.inf
) -> np.ndarray:
    """Draws about `value` whose logs scatter by `deviation`, with the tails of Student's t.

    Each keeps its rank and the draws their skew; draws that are all alike become drawn from t. The
    tails are not those of the draws: resamples of several members with unlike noise, taken
    together, have longer tails than the average of the members.
    """
    with np.errstate(all="ignore"):
        logs_B = np.log(draws_B)
    is_known_B = np.isfinite(logs_B)
    known = logs_B[is_known_B]
    low, middle, high = np.quantile(known, [0.16, 0.5, 0.84]) if len(known) else (0.0, 0.0, 0.0)
    if high <= low:
        return widened(np.full(len(draws_B), value), deviation, freedom)
    share = (np.argsort(np.argsort(known, kind="stable"), kind="stable") + 0.5) / len(known)
    student = _students_quantile(share, freedom)
    side = np.where(share < 0.5, middle - low, high - middle) * 2 / (high - low)
    scaled_B = np.array(draws_B, np.float64)
    with np.errstate(over="ignore"):
        scaled_B[is_known_B] = value * np.exp(deviation * side * student)
    return scaled_B


def evened(draws_B: np.ndarray, value: float, deviation: float) -> np.ndarray:
    """Draws about `value` whose logs are normal with that deviation; each keeps its rank.

    >>> np.round(np.log(evened(np.array([1.0, 1.1, 5.0]), 2.0, 0.1) / 2.0), 4).tolist()
    [-0.0967, 0.0, 0.0967]
    """
    order_B = np.argsort(np.argsort(draws_B, kind="stable"), kind="stable")
    normal_B = _students_quantile((order_B + 0.5) / len(draws_B), math.inf)
    even_B: np.ndarray = value * np.exp(deviation * normal_B)
    return even_B


def holding(wider_B: np.ndarray, draws_B: np.ndarray) -> np.ndarray:
    """`wider_B`, moved outwards where the draws reach further out at the same percentile."""
    order_B = np.argsort(wider_B, kind="stable")
    ends_2xB = np.sort(np.where(np.isnan((wider_B, draws_B)), np.inf, (wider_B, draws_B)), axis=1)
    is_lower_B = np.arange(len(draws_B)) < len(draws_B) / 2
    held_B = np.empty(len(draws_B))
    held_B[order_B] = np.where(is_lower_B, ends_2xB.min(axis=0), ends_2xB.max(axis=0))
    return held_B


def scatter_of(draws_B: np.ndarray) -> float:
    """Robust standard deviation of the draws' logs; zero where no draw has one."""
    logs_B = np.log(draws_B[np.isfinite(draws_B) & (draws_B > 0)])
    if not len(logs_B):
        return 0.0
    low, high = np.quantile(logs_B, [0.16, 0.84])
    return float(high - low) / 2


def beyond_draws(deviation: float, draws_B: np.ndarray) -> float:
    """The part of an error that the scatter of draws does not already hold, in logs.

    Errors of rolled cut-offs contain noise as well as the error of the form, and so do draws: what
    the draws already scatter is taken out before the two are added in squares.
    """
    return math.sqrt(max(deviation**2 - scatter_of(draws_B) ** 2, 0.0))


def towards_hull(one: Interval | None, other: Interval | None, share: float) -> Interval | None:
    """`one` moved by a share of the way to the narrowest interval that contains both.

    It stays where the other is None.
    """
    if one is None or other is None:
        return one
    hull = np.array([min(one[0], other[0]), max(one[1], other[1])])
    low, high = outwards(np.array(one), hull, share).tolist()
    return low, high


def parts_of(draws_B: np.ndarray, beyond: Beyond, share: float) -> dict[str, float]:
    """Standard deviations whose squares add up to those of an interval of the law.

    Args:
        draws_B: resampled predictions.
        beyond: what is known besides; as for `wider`, `unseen` counts what the draws scatter by
            more than the error.
        share: how much of the deviation between forms adds, in squares.

    Returns:
        `noise` of the fit as far as the interval holds it, `form` and `distance`.
    """
    scatter = scatter_of(draws_B)
    total = combined(beyond.deviation, beyond.between, share)
    total += beyond.unseen * max(scatter - total, 0.0)
    noise = min(scatter, total)
    distance = math.sqrt(max(beyond.deviation**2 - noise**2, 0.0))
    form = math.sqrt(max(total**2 - noise**2 - distance**2, 0.0))
    return {"noise": noise, "form": form, "distance": distance}


def parts_within(draws_B: np.ndarray, beyond: Beyond) -> dict[str, float]:
    """The same of an error that is known as a whole: its parts by noise, forms and the rest.

    Args:
        draws_B: predictions that scatter by the noise of the fit alone.
        beyond: `deviation` is that of the error, and `between` the scatter between forms.
    """
    left = beyond.deviation**2
    parts = {}
    for name, part in (("noise", scatter_of(draws_B)), ("form", beyond.between)):
        parts[name] = min(part, math.sqrt(left))
        left = max(left - parts[name] ** 2, 0.0)
    return parts | {"distance": math.sqrt(left)}
