"""What a fit answers with: the optimum of a budget, the loss of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.conventions import SIX_N_D, Compute
from scaling_jax.laws.frontier_root import SizeCondition

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval, None where nothing was resampled."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Optimum:
    """The compute-optimal run of a budget; intervals are None where nothing was resampled.

    Attributes:
        flops: the budget C.
        params, tokens: N_opt and D_opt.
        loss: nats per token; None where an approach read too few minima to say.
        params_interval, tokens_interval, loss_interval: bootstrap intervals, without the noise
            of a single run.
        extrapolation: C over the largest fitted FLOPs.
    """

    flops: float
    params: float
    tokens: float
    loss: float | None
    params_interval: Interval | None
    tokens_interval: Interval | None
    loss_interval: Interval | None
    extrapolation: float


@dataclass(frozen=True)
class Allocation:
    """N_opt(C), D_opt(C) and L_opt(C) by one approach, the same for all of them.

    Attributes:
        approach: 1, 2 or 3 of Hoffmann et al. 2022.
        method: in words, such as `IsoFLOP minima by parabola`.
        count: which parameters N counts.
        level: of every interval.
        exponents: `a` of N_opt and `b` of D_opt in C.
        optima: one per budget asked about.
    """

    approach: int
    method: str
    count: str
    level: float
    exponents: Mapping[str, Estimate]
    optima: tuple[Optimum, ...]

    def table(self) -> "pd.DataFrame":
        """One row per budget: `flops`, `extrapolation`, and `x`, `x_low`, `x_high` of each x.

        x is `params`, `tokens` or `loss` (nats per token); what is not known is NaN.
        """
        import pandas as pd

        return pd.DataFrame([_row(optimum) for optimum in self.optima])


def _row(optimum: Optimum) -> dict[str, float]:
    row = {"flops": optimum.flops, "extrapolation": optimum.extrapolation}
    for name in ("params", "tokens", "loss"):
        value, bounds = getattr(optimum, name), getattr(optimum, f"{name}_interval")
        row[name] = np.nan if value is None else value
        row[f"{name}_low"], row[f"{name}_high"] = (np.nan, np.nan) if bounds is None else bounds
    return row


@dataclass(frozen=True)
class Prediction:
    """What a fitted law predicts of a run.

    Attributes:
        value: of the law's response, in its unit; a loss is in nats per token.
        law_interval: where the true loss lies, the error of the law's form included; None without
            a bootstrap.
        interval: where one run's measurement lies: `law_interval` and a run's scatter.
        extrapolation: the run's FLOPs (6 N D) over the largest fitted; NaN where a law says
            nothing of compute.
        outside: variables that lie outside the range of the fitted rows.
        resampling_interval: where one run's measurement would lie if the law's form were right,
            from the noise of the fitted runs and a run's scatter alone; None without a bootstrap.
        parts: standard deviations of the log response that make up the interval: `runs` (a run's
            scatter), `noise` (of the fit), `form` (fits of several forms) and `distance` (of one
            law, what predictions beyond rolled cut-offs erred by besides, and what laws of other
            forms hide beyond the reach of the cut-offs; of `auto`, what the misfit of every form
            and the priors leave unsure); empty without a bootstrap.
    """

    value: float
    law_interval: Interval | None
    interval: Interval | None
    extrapolation: float = math.nan
    outside: tuple[str, ...] = ()
    resampling_interval: Interval | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The value, of a law whose response is the loss."""
        return self.value


@dataclass(frozen=True)
class Frontier:
    """`N_opt`, `D_opt` and, where known, loss at budgets, for constants along the last axis."""

    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray | None


def form_frontier(
    law: Law, constants_P: np.ndarray, flops: float | np.ndarray, compute: Compute = SIX_N_D
) -> Frontier:
    """The optimum of `A / N^alpha + B / D^beta` under C = k (N + n0)^p D.

    Hoffmann et al. 2022, equation 4, with k = 6, n0 = 0 and p = 1; in general for n0 = 0
    N_opt = G (C/k)^a and D_opt = (C/k)^b / G^p with
    G = (alpha A / (p beta B))^(1/(alpha + p beta)), a = beta / (alpha + p beta) and
    b = alpha / (alpha + p beta). For other n0 `SizeCondition` is solved for N_opt.

    Raises:
        InputError: the form has no such frontier.
    """
    alpha, beta, a_coef, b_coef = _frontier_constants(law, constants_P)
    with np.errstate(all="ignore"):
        p_beta = compute.power * beta
        log_ratio = np.log(alpha * a_coef / (p_beta * b_coef))
        log_products = np.log(flops / compute.factor)
        if compute.offset:
            at = (log_products, compute.power, math.log(compute.offset))
            condition = SizeCondition(log_ratio, alpha, beta, *at)
            x = condition.root()
            params, tokens = np.exp(x), np.exp(condition.log_tokens(x))
        else:
            log_g = log_ratio / (alpha + p_beta)
            params = np.exp(log_g + beta / (alpha + p_beta) * log_products)
            tokens = np.exp(-compute.power * log_g + alpha / (alpha + p_beta) * log_products)
        loss = law.value(constants_P, {"params": params, "tokens": tokens})
    return Frontier(params, tokens, loss)


def form_exponents(
    law: Law,
    constants_P: np.ndarray,
    compute: Compute = SIX_N_D,
    flops_range: tuple[float, float] = (math.nan, math.nan),
) -> dict[str, np.ndarray]:
    """Exponents a of N_opt and b of D_opt in C; empty for a form without a frontier.

    Where C = k (N + n0)^p D the optimum is no power law of C, and the exponents are those of the
    power laws through its ends at `flops_range`.
    """
    if law.frontier is None:
        return {}
    if compute.offset:
        low, high = (form_frontier(law, constants_P, flops, compute) for flops in flops_range)
        decades = np.log(flops_range[1] / flops_range[0])
        with np.errstate(all="ignore"):
            return {
                "a": np.log(high.params / low.params) / decades,
                "b": np.log(high.tokens / low.tokens) / decades,
            }
    alpha, beta, _, _ = _frontier_constants(law, constants_P)
    total = alpha + compute.power * beta
    # Exponents of opposite sign may cancel: such a law has no optimum.
    with np.errstate(all="ignore"):
        return {"a": beta / total, "b": alpha / total}


def frontier_names(law: Law) -> tuple[str, str, str, str]:
    """Names of the constants (alpha, beta, A, B) that a law's frontier follows from.

    Raises:
        InputError: the form has no such frontier.
    """
    if law.frontier is None:
        raise InputError(f"the law {law.name!r} has no compute-optimal frontier: use chinchilla")
    return law.frontier


def _frontier_constants(law: Law, constants_P: np.ndarray) -> list[np.ndarray]:
    constants_P = np.asarray(constants_P, np.float64)
    return [constants_P[..., law.names.index(name)] for name in frontier_names(law)]


POWER_LAW_NAMES = ("N_ref", "D_ref", "a", "b")
FRONTIER_LOSS_NAMES = ("E", "K_ref", "gamma")


def power_law_frontier(constants_P: np.ndarray, reference: float, flops: float) -> Frontier:
    """`N_opt = N_ref (C / C_ref)^a`, `D_opt = D_ref (C / C_ref)^b` and, where known, the loss.

    The loss is `L_opt = E + K_ref (C / C_ref)^-gamma`, of constants that follow the other four.
    """
    n_ref, d_ref, a, b, *of_loss = np.moveaxis(np.asarray(constants_P, np.float64), -1, 0)
    ratio, loss = flops / reference, None
    # The exponent of a resample can be so large that its optimum is beyond what is finite.
    with np.errstate(over="ignore", invalid="ignore"):
        if of_loss:
            floor, k_ref, gamma = of_loss
            loss = floor + k_ref * ratio**-gamma
        return Frontier(n_ref * ratio**a, d_ref * ratio**b, loss)


def power_law_constants(
    constants_BxP: np.ndarray, loss_BxP: np.ndarray | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and values of a frontier's constants, with those of its loss where it has them."""
    if loss_BxP is None:
        return POWER_LAW_NAMES, constants_BxP
    names = (*POWER_LAW_NAMES, *FRONTIER_LOSS_NAMES)
    return names, np.concatenate([constants_BxP, loss_BxP], axis=1)


def all_alike(draws_B: np.ndarray) -> bool:
    """Whether the draws differ by no more than rounding, so that no resample moves them."""
    with np.errstate(invalid="ignore"):
        return bool(np.ptp(draws_B) <= _ROUNDING * np.abs(draws_B).max())


def interval(draws_B: np.ndarray, level: float) -> Interval:
    """Percentiles that leave `(1 - level) / 2` of the draws on either side.

    A draw that ran off to infinity counts as infinite, so an unbounded interval shows as one.
    """
    draws_B = np.where(np.isnan(draws_B), np.inf, draws_B)
    ends = [(1 - level) / 2, (1 + level) / 2]
    # Not interpolated: between a finite draw and an infinite one there is no midpoint.
    low, high = np.quantile(draws_B, ends, method="nearest")
    return float(low), float(high)
