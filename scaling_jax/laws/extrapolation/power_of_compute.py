"""One power law of compute, above a floor that is fitted, declared or absent.

For a given exponent the floor and the coefficient solve linear least squares of relative errors, so
a search over the exponent alone finds the global optimum in a millisecond. Cut-offs that are rolled
up through the data fit many such laws to a few points each.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.frontier_loss import LEAST_POINTS
from scaling_jax.laws.priors import Prior

# Compute that differs by less says nothing about an exponent.
_SAME = 1.01
# A descent starts at the best of these exponents; local optima lie at the largest.
_EXPONENTS = np.geomspace(2e-3, 4.0, 200)
_TOLERANCE = 1e-10
# No table of losses is less noisy, so that a prior of the floor always counts a little.
_LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class PowerOfCompute:
    """`L(C) = E + K (C / C_ref)^-gamma`.

    Attributes:
        floor: E, in the unit of the loss; 0 for a law without a floor.
        scale: K, likewise.
        gamma: the exponent.
        reference: C_ref in FLOPs.
    """

    floor: float
    scale: float
    gamma: float
    reference: float

    def loss(self, flops: ArrayLike) -> np.ndarray:
        """The loss at compute C in FLOPs, elementwise."""
        ratio = np.asarray(flops, np.float64) / self.reference
        loss: np.ndarray = self.floor + self.scale * ratio**-self.gamma
        return loss


@dataclass(frozen=True)
class _Points:
    """The points of a fit, and what is known of the floor.

    Attributes:
        log_ratio_G, loss_G: ln C about its mean, and losses.
        floor: E, where it is declared.
        centre, weight: a prior adds `weight (E - centre)^2` to the squared relative errors.
    """

    log_ratio_G: np.ndarray
    loss_G: np.ndarray
    floor: float | None
    centre: float = 0.0
    weight: float = 0.0


def fit_power(
    flops_G: np.ndarray,
    loss_G: np.ndarray,
    floor: float | None = None,
    prior: Prior | None = None,
) -> PowerOfCompute:
    """The power law of compute of least squared relative errors of the losses.

    >>> import numpy as np
    >>> from scaling_jax.laws.extrapolation.power_of_compute import fit_power
    >>> flops = np.geomspace(1e18, 1e21, 6)
    >>> fit = fit_power(flops, 1.7 + 1.3 * (flops / 1e18) ** -0.15)
    >>> round(fit.floor, 3), round(fit.gamma, 3)
    (1.7, 0.15)

    Args:
        flops_G: C of each point.
        loss_G: the losses.
        floor: E, where it is declared; 0 for a law without a floor; None to fit it.
        prior: of E, taken as normal in E itself. The noise of a point, against which the prior
            counts, is the scatter about a fit without it, and at least 0.1 %.

    Raises:
        InputError: fewer than 4 distinct C, a floor that is negative or not below every loss, both
            a floor and a prior, a prior that the losses exclude, or losses that do not fall with
            compute.
    """
    _require_falling(flops_G, loss_G)
    _require_possible(loss_G, floor, prior)
    reference = float(np.exp(np.log(flops_G).mean()))
    points = _Points(np.log(flops_G / reference), loss_G, floor)
    e, k, gamma, squares = _optimum(points)
    if prior is not None:
        noise = max(math.sqrt(squares / max(len(loss_G) - 3, 1)), _LEAST_NOISE)
        centre = _centre(prior, loss_G)
        known = replace(points, centre=centre, weight=(noise / (prior.spread * centre)) ** 2)
        e, k, gamma, _ = _optimum(known)
    return PowerOfCompute(e, k, gamma, reference)


def _optimum(points: _Points) -> tuple[float, float, float, float]:
    """E, K, gamma and the sum of squares at the optimum."""
    from scipy.optimize import minimize_scalar

    cost_M = _solve(_EXPONENTS, points)[2]
    best = int(np.clip(cost_M.argmin(), 1, len(_EXPONENTS) - 2))
    found = minimize_scalar(
        lambda log_gamma: float(_solve(np.exp([log_gamma]), points)[2][0]),
        bounds=np.log(_EXPONENTS[[best - 1, best + 1]]),
        method="bounded",
        options={"xatol": _TOLERANCE},
    )
    gamma = math.exp(found.x)
    e_1, k_1, cost_1 = _solve(np.array([gamma]), points)
    return float(e_1[0]), float(k_1[0]), gamma, float(cost_1[0])


def _solve(gamma_M: np.ndarray, points: _Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E, K and the sum of squares for each exponent, at which the errors are linear in E and K."""
    one_G = 1 / points.loss_G
    power_MxG = np.exp(-np.outer(gamma_M, points.log_ratio_G)) * one_G
    powers_M, cross_M = (power_MxG**2).sum(axis=1), power_MxG @ one_G
    if points.floor is None:
        ones, sum_one = one_G @ one_G + points.weight, one_G.sum() + points.weight * points.centre
        e_M = (sum_one * powers_M - power_MxG.sum(axis=1) * cross_M) / (
            ones * powers_M - cross_M**2
        )
        # Where the optimum has a negative floor, the optimum among laws has none.
        e_M = np.maximum(e_M, 0.0)
    else:
        e_M = np.full(len(gamma_M), points.floor)
    k_M = np.maximum((power_MxG.sum(axis=1) - e_M * cross_M) / powers_M, 0.0)
    error_MxG = e_M[:, None] * one_G + k_M[:, None] * power_MxG - 1
    cost_M = (error_MxG**2).sum(axis=1) + points.weight * (e_M - points.centre) ** 2
    return e_M, k_M, cost_M


def _require_falling(flops_G: np.ndarray, loss_G: np.ndarray) -> None:
    distinct = 1 + int((np.diff(np.sort(np.log(flops_G))) > np.log(_SAME)).sum())
    if distinct < LEAST_POINTS:
        raise InputError(
            f"{distinct} distinct values of compute cannot show how a power law falls: "
            f"{LEAST_POINTS} are needed"
        )
    if not np.polyfit(np.log(flops_G / flops_G.mean()), np.log(loss_G), 1)[0] < 0:
        raise InputError(
            f"the losses do not fall with compute from {flops_G.min():.3g} to "
            f"{flops_G.max():.3g} FLOPs: check these runs"
        )


def _require_possible(loss_G: np.ndarray, floor: float | None, prior: Prior | None) -> None:
    if floor is not None and prior is not None:
        raise InputError(f"the floor E is held at {floor:g} and has a prior: give one of the two")
    if floor is not None and not 0 <= floor < loss_G.min():
        raise InputError(
            f"the floor E is held at {floor:g}, which must be at least 0 and below the lowest "
            f"loss, {loss_G.min():.4g}: hold it lower, or fit it"
        )
    if prior is not None and not 0 < _centre(prior, loss_G) < loss_G.min():
        raise InputError(
            f"the prior's centre {_centre(prior, loss_G):g} of the floor E must be positive and "
            f"below the lowest loss, {loss_G.min():.4g}: centre it lower"
        )


def _centre(prior: Prior, loss_G: np.ndarray) -> float:
    return prior.centre * (float(loss_G.min()) if prior.relative else 1.0)
