"""The loss along a frontier that was read off the data: a power law of compute above a floor."""

import numpy as np

from scaling_jax.laws.catalogue import saturating
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.solver.optimum import fit_point, refit_resamples

FORM = saturating("flops", unit="FLOPs")
# One more than the law has constants: with as many, it passes through every point.
LEAST_POINTS = len(FORM.names) + 1


def frontier_loss(flops_G: np.ndarray, loss_RxG: np.ndarray, reference: float) -> np.ndarray | None:
    """`E, K_ref, gamma` of `L_opt = E + K_ref (C / reference)^-gamma`, for every row of losses.

    The first row is the point's, the others are resamples; what is missing is NaN. None for a
    frontier of fewer than 4 points.
    """
    known_G = np.isfinite(loss_RxG[0])
    flops_G, loss_RxG = flops_G[known_G], loss_RxG[:, known_G]
    if len(flops_G) < LEAST_POINTS:
        return None
    values, objective = {"flops": flops_G / reference}, objective_named("log-squares")
    point = fit_point(FORM, values, loss_RxG[0], objective=objective)
    drawn = [point.constants_P[None]]
    if len(loss_RxG) > 1:
        there_BxG = np.isfinite(loss_RxG[1:])
        loss_BxG = np.where(there_BxG, loss_RxG[1:], loss_RxG[0])
        weights_BxG = there_BxG.astype(np.float64)
        drawn.append(
            refit_resamples(FORM, values, point, loss_BxG, weights_BxG, objective=objective)
        )
    return np.concatenate(drawn)
