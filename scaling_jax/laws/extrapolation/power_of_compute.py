"""One power law of compute, above a floor that is fitted, declared or absent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.frontier_loss import LEAST_POINTS, frontier_loss
from scaling_jax.laws.catalogue import saturating
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.solver.convergence import require_converged
from scaling_jax.laws.solver.optimum import optimum

_FORM = saturating("flops", unit="FLOPs")
# Compute that differs by less says nothing about an exponent.
_SAME = 1.01


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


def fit_power(
    flops_G: np.ndarray, loss_G: np.ndarray, floor: float | None = None
) -> PowerOfCompute:
    """The least-squares fit of log losses by a power law of compute.

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

    Raises:
        InputError: fewer than 4 distinct C, a floor that is negative or not below every loss,
            losses that do not fall with compute, or that determine no such law.
    """
    distinct = 1 + int((np.diff(np.sort(np.log(flops_G))) > np.log(_SAME)).sum())
    if distinct < LEAST_POINTS:
        raise InputError(
            f"{distinct} distinct values of compute cannot show how a power law falls: "
            f"{LEAST_POINTS} are needed"
        )
    if floor is not None and not 0 <= floor < loss_G.min():
        raise InputError(
            f"the floor E is held at {floor:g}, which must be at least 0 and below the lowest "
            f"loss, {loss_G.min():.4g}: hold it lower, or fit it"
        )
    reference = float(np.exp(np.log(flops_G).mean()))
    constants = _constants(flops_G / reference, loss_G, floor)
    if not constants[2] > 0:
        raise InputError(
            f"the losses do not fall with compute from {flops_G.min():.3g} to "
            f"{flops_G.max():.3g} FLOPs (exponent {constants[2]:.3g}): check these runs"
        )
    return PowerOfCompute(*constants, reference)


def _constants(
    ratio_G: np.ndarray, loss_G: np.ndarray, floor: float | None
) -> tuple[float, float, float]:
    if floor is None:
        found_1xP = frontier_loss(ratio_G, loss_G[None], 1.0)
        if found_1xP is None:
            raise InputError(
                f"{len(loss_G)} losses determine no power law above a floor: declare the floor, "
                "or add budgets"
            )
        e, k, gamma = found_1xP[0].tolist()
        return e, k, gamma
    if floor == 0:
        slope, intercept = np.polyfit(np.log(ratio_G), np.log(loss_G), 1).tolist()
        return 0.0, float(np.exp(intercept)), -slope
    objective = objective_named("log-squares")
    point = optimum(_FORM, {"flops": ratio_G}, loss_G, objective=objective, fixed={"E": floor})
    require_converged(_FORM, point, len(loss_G))
    e, k, gamma = point.constants_P.tolist()
    return e, k, gamma
