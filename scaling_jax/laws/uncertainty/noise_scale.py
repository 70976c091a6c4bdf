"""What a fit says of its objective: what was minimized, how well, and the noise it leaves."""

import math
from typing import Any

import numpy as np

from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.optimum import PointFit
from scaling_jax.laws.solver.scaled_prior import NORMAL


def summary(objective: Objective, point: PointFit, weights_N: np.ndarray) -> dict[str, Any]:
    """The objective's settings, the optimum's value and quality, and `noise`.

    `noise` is the robust scale of the residuals: of log losses, so 0.01 is 1 % of the loss; of
    plain responses where the law's response may be negative. A Gaussian likelihood adds `sigma`,
    its fitted noise scale (the root mean square of the residuals, as maximum likelihood estimates
    it, without a correction for the constants fitted), and `log_likelihood`, its maximum, of the
    log losses.
    """
    found = {
        "name": objective.name,
        "space": objective.space,
        "delta": objective.delta,
        "above": objective.above,
        "reduction": "sum",
        "value": point.value,
        "gradient_norm": point.gradient_norm,
        "condition": point.condition,
        "n_optima": point.n_optima,
        "noise": noise_of(point),
    }
    return found | gaussian(point.residuals_N, weights_N) if objective.likelihood else found


def robust_scale(residuals_N: np.ndarray, n_constants: int = 0) -> float:
    """The standard deviation of a Gaussian with the residuals' median distance from their median.

    A robust fit passes through nearly as many rows as it has constants, so that many of the
    smallest distances say nothing of the noise and are left out (Street, Carroll and Ruppert
    1988, "A note on computing robust regression estimates via iteratively reweighted least
    squares").
    """
    distances = np.sort(np.abs(residuals_N - np.median(residuals_N)))
    left = distances[min(n_constants, len(distances) - 1) :]
    return float(NORMAL * np.median(left))


def noise_of(point: PointFit) -> float:
    """The robust scale of a fit's residuals."""
    return robust_scale(point.residuals_N, int(point.free_P.sum()))


def gaussian(residuals_N: np.ndarray, weights_N: np.ndarray) -> dict[str, float]:
    """Scale and log-likelihood of Gaussian noise, at the scale that maximizes it."""
    count = float(weights_N.sum())
    variance = float(weights_N @ residuals_N**2) / count
    if variance == 0:
        return {"sigma": 0.0, "log_likelihood": math.inf}
    return {
        "sigma": math.sqrt(variance),
        "log_likelihood": -0.5 * count * (math.log(2 * math.pi * variance) + 1),
    }
