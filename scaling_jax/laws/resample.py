"""Bootstrap resamples of the rows of a fit."""

from typing import Literal, get_args

import numpy as np

Resampling = Literal["rows", "residuals"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)


def resamples(
    kind: Resampling,
    loss_N: np.ndarray,
    fitted_N: np.ndarray,
    noise_N: np.ndarray,
    n_resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Losses and weights `BxN` of the resamples.

    `rows` draws rows with replacement, as weights. `residuals` keeps every row and adds to its
    fitted log loss a residual drawn from `noise_N`, which suits planned grids, whose corners
    pin the law and must not drop out.
    """
    rng, n = np.random.default_rng(seed), len(loss_N)
    if kind == "rows":
        weights_BxN = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
        return np.broadcast_to(loss_N, weights_BxN.shape), weights_BxN.astype(np.float64)
    drawn_BxN = noise_N[rng.integers(n, size=(n_resamples, n))]
    return fitted_N * np.exp(drawn_BxN), np.ones((n_resamples, n))


def scaled_noise(residuals_N: np.ndarray, n_constants: int) -> np.ndarray:
    """Residuals freed of their mean and scaled up for the degrees of freedom the fit used."""
    n = len(residuals_N)
    spread = np.sqrt(n / (n - n_constants)) if n > n_constants else 1.0
    return (residuals_N - residuals_N.mean()) * spread
