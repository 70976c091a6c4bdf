"""The loss along the frontier of approaches 1 and 2: a power law of compute above a floor."""

import numpy as np

from scaling_jax.laws.catalogue import saturating
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.solver.convergence import converged
from scaling_jax.laws.solver.optimum import optimum, refit

_FORM = saturating("flops", unit="FLOPs")
# One more than the law has constants: with as many, it passes through every point.
LEAST_POINTS = len(_FORM.names) + 1


def frontier_loss(flops_G: np.ndarray, loss_RxG: np.ndarray, reference: float) -> np.ndarray | None:
    """`E, K_ref, gamma` of `L_opt = E + K_ref (C / reference)^-gamma`, for every row of losses.

    On the frontier of `E + A / N^alpha + B / D^beta` the loss is exactly of this shape, with
    gamma = alpha beta / (alpha + beta) (Hoffmann et al. 2022, equation 4 put into equation 2).

    Args:
        flops_G: budgets of the frontier's points.
        loss_RxG: nats per token, the point's in the first row and then the resamples'; NaN
            where a resample has no minimum.
        reference: FLOPs at which the power law has the value K_ref.

    Returns:
        Constants `Rx3`; None for a frontier of fewer than 4 points, and for one that determines
        no such law.
    """
    known_G = np.isfinite(loss_RxG[0])
    flops_G, loss_RxG = flops_G[known_G], loss_RxG[:, known_G]
    if len(flops_G) < LEAST_POINTS:
        return None
    values, objective = {"flops": flops_G / reference}, objective_named("log-squares")
    point = optimum(_FORM, values, loss_RxG[0], objective=objective)
    if not converged(point):
        return None
    drawn = [point.constants_P[None]]
    if len(loss_RxG) > 1:
        # A point that a resample lacks gets weight 0, and any finite loss.
        there_BxG = np.isfinite(loss_RxG[1:])
        loss_BxG = np.where(there_BxG, loss_RxG[1:], loss_RxG[0])
        weights_BxG = there_BxG.astype(np.float64)
        drawn.append(refit(_FORM, values, point, loss_BxG, weights_BxG, objective=objective))
    return np.concatenate(drawn)
