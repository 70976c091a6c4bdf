"""The next runs to train: those that narrow an interval the most for the FLOPs they cost.

A sequential design by the c-criterion: it minimizes the variance of one function of the constants,
here the size, tokens or loss of an optimum (Atkinson and Donev 1992, "Optimum Experimental
Designs"; Pukelsheim 1993, "Optimal Design of Experiments").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
from scipy.stats import norm

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.catalogue import PowerSum
from scaling_jax.laws.catalogue.linearized import centre_of, gradient, slopes
from scaling_jax.laws.conventions import LEVEL, PARAMS_COLUMN, Compute, Count
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.planning.answers import PRIOR, VANISHED

if TYPE_CHECKING:
    import pandas as pd

Quantity = Literal["params", "tokens", "loss"]

# The cheapest cells, trained before the first fit; fewer determine no interval.
FIRST_CELLS = 12

# A median of absolute residuals against the standard deviation, for Gaussian noise (Rousseeuw and
# Croux 1993, JASA 88, 1273, table 2).
_EFFICIENCY = 0.37


@dataclass(frozen=True)
class Goal:
    """The quantity that a study must find, and how precisely.

    Attributes:
        quantity: `params`, `tokens` or `loss` of the compute-optimal run.
        flops: the budget of that run.
        width: of the interval: high over low for sizes and tokens, high less low for the loss
            in the unit of the fit.
        level: of the interval.

    Raises:
        InputError: a number outside its range.
    """

    quantity: Quantity
    flops: float
    width: float
    level: float = LEVEL

    def __post_init__(self) -> None:
        if self.quantity not in get_args(Quantity):
            raise InputError(
                f"goal {self.quantity!r} must be one of {', '.join(get_args(Quantity))}"
            )
        if not 0 < self.flops < math.inf:
            raise InputError(f"goal at {self.flops} FLOPs: give a positive, finite budget")
        least = 0 if self.quantity == "loss" else 1
        if not least < self.width < math.inf:
            raise InputError(
                f"width {self.width:g} must be above {least}: "
                + ("loss from low to high" if least == 0 else "high over low")
            )
        if not 0 < self.level < 1:
            raise InputError(f"level {self.level} must lie between 0 and 1")

    @classmethod
    def parse(cls, text: str) -> "Goal":
        """The goal that is written as QUANTITY@FLOPS:WIDTH.

        >>> Goal.parse("params@1e21:1.5")
        Goal(quantity='params', flops=1e+21, width=1.5, level=0.9)

        Raises:
            InputError: text of another form, or a number outside its range.
        """
        quantity, _, rest = text.partition("@")
        flops, _, width = rest.partition(":")
        try:
            numbers = float(flops), float(width)
        except ValueError as error:
            raise InputError(
                f"goal {text!r} must be QUANTITY@FLOPS:WIDTH, such as params@1e21:1.5 or "
                "loss@1e21:0.02"
            ) from error
        return cls(cast(Quantity, quantity), *numbers)

    @property
    def _allowed(self) -> float:
        return self.width if self.quantity == "loss" else math.log(self.width)

    def width_of(self, fit: Fit) -> float:
        """Width of the fit's interval; infinite where the interval is unbounded or missing."""
        bounds = getattr(fit.optimal(self.flops), f"{self.quantity}_interval")
        if bounds is None or not 0 < bounds[0] <= bounds[1] < math.inf:
            return math.inf
        low, high = map(float, bounds)
        return high - low if self.quantity == "loss" else high / low

    def value(self, form: PowerSum, constants_P: np.ndarray, compute: Compute) -> np.ndarray:
        """The quantity on the scale of its width: logs of sizes and tokens, plain losses."""
        point = form_frontier(form, constants_P, self.flops, compute)
        if self.quantity == "loss":
            assert point.loss is not None
            return point.loss
        log_size: np.ndarray = np.log(point.params if self.quantity == "params" else point.tokens)
        return log_size


@dataclass(frozen=True)
class Advice:
    """The runs to train next.

    Attributes:
        reached: whether the interval is as narrow as the goal; then there is nothing to train.
        width: of the interval so far, by resamples or by the linearized law, whichever is wider.
        chosen: indices of the candidates that suffice, cheapest first.
        enough: whether the chosen runs are expected to reach the goal; otherwise all that help
            are chosen.
    """

    reached: bool
    width: float
    chosen: tuple[int, ...]
    enough: bool


def next_cells(goal: Goal, fit: Fit, done: "pd.DataFrame", candidates: "pd.DataFrame") -> Advice:
    """The cheapest of `candidates` that are expected to reach the goal, given the rows `done`.

    The law is linearized about the fit, so each candidate narrows the interval by a known amount.
    Candidates that narrow it most per FLOP are added until it is narrow enough; those that later
    ones made unnecessary are dropped again, the most expensive first.

    Args:
        goal: what to find.
        fit: of approach 3, to the rows `done`.
        done, candidates: the law's variables, under the count of N that the fit used, and `flops`.

    Raises:
        InputError: a law without a frontier, or one that is not a plain sum of terms.
    """
    form = fit.definition if isinstance(fit, LawFit) else None
    if not isinstance(form, PowerSum) or form.outer is not None:
        raise InputError(f"the law {fit.law!r} cannot direct a study: use chinchilla")
    if fit.compute.undetermined:
        raise InputError(fit.compute.undetermined)
    constants_P = form.ordered(fit.params)
    flops_C = candidates["flops"].to_numpy(np.float64)
    if not np.isfinite(constants_P).all():
        return _no_law(flops_C)
    values, choices = _variables(form, fit, done), _variables(form, fit, candidates)
    centre = centre_of(form, values)
    rows_NxP = slopes(form, constants_P, centre, values)
    rows_CxP = slopes(form, constants_P, centre, choices)
    toward_P = gradient(lambda each: goal.value(form, each, fit.compute), form, constants_P, centre)
    information_PxP = rows_NxP.T @ rows_NxP
    if np.diag(information_PxP).min() < VANISHED or not np.isfinite(toward_P).all():
        return _no_law(flops_C)
    covariance_PxP = np.linalg.inv(information_PxP + PRIOR * np.diag(np.diag(information_PxP)))
    variance = float(toward_P @ covariance_PxP @ toward_P)
    width = _width(goal, fit, variance)
    allowed = goal._allowed
    if width <= allowed:
        return Advice(True, _shown(goal, width), (), True)
    aim = variance * (allowed / width) ** 2 if math.isfinite(width) else 0.0
    chosen = _cheapest(aim, toward_P, covariance_PxP, rows_CxP, flops_C)
    left = _variance(toward_P, covariance_PxP, rows_CxP[chosen])
    order = sorted(chosen, key=lambda c: (flops_C[c], c))
    return Advice(False, _shown(goal, width), tuple(order), left <= aim)


def _no_law(flops_C: np.ndarray) -> Advice:
    """A law without an optimum cannot rank candidates; the cheapest runs come first."""
    return Advice(False, math.inf, tuple(np.argsort(flops_C, kind="stable").tolist()), False)


def _variables(form: PowerSum, fit: Fit, table: "pd.DataFrame") -> dict[str, np.ndarray]:
    params = PARAMS_COLUMN[cast(Count, fit.count)]
    return {
        name: table[params if name == "params" else name].to_numpy(np.float64)
        for name in form.variables
    }


def in_one_round(flops_C: Sequence[float], spent: float, at_once: int) -> int:
    """How many of the candidates, cheapest first, to train before the next choice.

    At most `at_once`, and at most half of the FLOPs `spent` so far unless a single run takes more,
    so that expensive runs are decided on one by one.
    """
    affordable = int(np.searchsorted(np.cumsum(flops_C[:at_once]), 0.5 * spent, side="right"))
    return min(max(1, affordable), len(flops_C))


def _width(goal: Goal, fit: Fit, variance: float) -> float:
    """The width of the interval so far, on the scale of `Goal.value`.

    A study that stops when its interval is narrow stops too soon when its few residuals are small
    by chance. So the interval is at least that of the linearized law with a noise two standard
    errors above its estimate.
    """
    resampled = goal.width_of(fit)
    if goal.quantity != "loss":
        resampled = math.log(resampled)
    freedom = max(1, fit.n_points - len(fit.params))
    noise = float(fit.objective["noise"]) * (1 + 2 / math.sqrt(2 * _EFFICIENCY * freedom))
    linear = 2 * float(norm.ppf((1 + goal.level) / 2)) * noise * math.sqrt(variance)
    return max(resampled, linear)


def _shown(goal: Goal, width: float) -> float:
    if goal.quantity == "loss":
        return width
    return math.exp(width) if width < 700 else math.inf


def _cheapest(
    aim: float,
    toward_P: np.ndarray,
    covariance_PxP: np.ndarray,
    rows_CxP: np.ndarray,
    flops_C: np.ndarray,
) -> list[int]:
    """Candidates that bring the variance down to `aim`, or all candidates."""
    now_PxP, chosen = covariance_PxP, list[int]()
    open_C = np.ones(len(rows_CxP), bool)
    while open_C.any() and toward_P @ now_PxP @ toward_P > aim:
        # Sherman and Morrison: adding the row x lowers the variance of c'theta by
        # (c'Sx)^2 / (1 + x'Sx), S being the covariance so far.
        moved_CxP = rows_CxP @ now_PxP
        spread_C = 1 + np.sum(moved_CxP * rows_CxP, axis=1)
        gain_C = (moved_CxP @ toward_P) ** 2 / spread_C / flops_C
        best = int(np.argmax(np.where(open_C, gain_C, -np.inf)))
        now_PxP = now_PxP - np.outer(moved_CxP[best], moved_CxP[best]) / spread_C[best]
        open_C[best] = False
        chosen.append(best)
    if toward_P @ now_PxP @ toward_P > aim:
        return chosen
    for candidate in sorted(chosen, key=lambda c: -flops_C[c]):
        fewer = [c for c in chosen if c != candidate]
        if _variance(toward_P, covariance_PxP, rows_CxP[fewer]) <= aim:
            chosen = fewer
    return chosen


def _variance(toward_P: np.ndarray, covariance_PxP: np.ndarray, added_CxP: np.ndarray) -> float:
    """The variance along `toward` with the added rows, in units of the noise's variance."""
    # Woodbury: the variance after all added rows at once, by a system as large as their number.
    moved_CxP = added_CxP @ covariance_PxP
    inner_CxC = np.eye(len(added_CxP)) + moved_CxP @ added_CxP.T
    less_C = moved_CxP @ toward_P
    return float(toward_P @ covariance_PxP @ toward_P - less_C @ np.linalg.solve(inner_CxC, less_C))
