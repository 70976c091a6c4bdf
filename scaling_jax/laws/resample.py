"""Bootstrap resamples of the rows of a fit."""

from typing import Literal, get_args

import numpy as np

from scaling_jax.errors import InputError

Resampling = Literal["rows", "residuals", "runs"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)


def resamples(
    kind: Resampling,
    loss_N: np.ndarray,
    fitted_N: np.ndarray,
    noise_N: np.ndarray,
    n_resamples: int,
    seed: int,
    run_id_N: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Losses and weights `BxN` of the resamples.

    `rows` draws rows with replacement, as weights. `residuals` keeps every row and adds to its
    fitted log loss a residual drawn from `noise_N`, which suits planned grids, whose corners
    pin the law and must not drop out. `runs` draws whole runs, for tables with several rows of
    one run, which are not independent.

    Raises:
        InputError: `runs` without knowing which run a row belongs to.
    """
    rng, n = np.random.default_rng(seed), len(loss_N)
    if kind == "rows":
        weights_BxN = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
        return np.broadcast_to(loss_N, weights_BxN.shape), weights_BxN.astype(np.float64)
    if kind == "runs":
        return np.broadcast_to(loss_N, (n_resamples, n)), _run_weights(rng, n_resamples, run_id_N)
    drawn_BxN = noise_N[rng.integers(n, size=(n_resamples, n))]
    return fitted_N * np.exp(drawn_BxN), np.ones((n_resamples, n))


def _run_weights(
    rng: np.random.Generator, n_resamples: int, run_id_N: np.ndarray | None
) -> np.ndarray:
    if run_id_N is None:
        raise InputError("resampling runs needs a column 'run_id': add it, or resample rows")
    names, run_N = np.unique(run_id_N, return_inverse=True)
    drawn_BxR = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples)
    return drawn_BxR[:, run_N].astype(np.float64)


def scaled_noise(residuals_N: np.ndarray, n_constants: int) -> np.ndarray:
    """Residuals freed of their mean and scaled up for the degrees of freedom the fit used."""
    n = len(residuals_N)
    spread = np.sqrt(n / (n - n_constants)) if n > n_constants else 1.0
    return (residuals_N - residuals_N.mean()) * spread
