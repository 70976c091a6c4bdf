"""Bootstrap resamples of the rows of a fit."""

import math

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.options import Resampling
from scaling_jax.laws.solver.optimum import PointFit, refit
from scaling_jax.laws.tables.select import Rows, clusters
from scaling_jax.laws.uncertainty.noise_scale import robust_scale

# A row of leverage 1 is fitted exactly and says nothing of its noise.
_MOST_LEVERAGE = 0.99
_ROUNDING = 1e-6
# Rows times resamples of a block, which limits the memory of long tables.
_MOST_VALUES = 1 << 23


def draws(
    law: Law,
    rows: Rows,
    point: PointFit,
    noise_N: np.ndarray,
    objective: Objective,
    kind: Resampling,
    n_resamples: int,
    seed: int,
) -> np.ndarray | None:
    """Constants `BxP` of the law refitted to resamples; None where there are no resamples.

    Args:
        law: the fitted law.
        rows: what the law was fitted to.
        point: its optimum.
        noise_N: scatter of the rows, as `noise_of_rows` estimates it.
        objective: what was minimized.
        kind: what is resampled, as `resamples` takes it.
        n_resamples: how many refits.
        seed: of the resamples.

    Raises:
        InputError: resampling of runs, of a table that does not name them.
    """
    if n_resamples == 0:
        return None
    run_id_N = clusters(rows) if kind == "runs" else None
    # One stream of random numbers, whatever the size of the blocks.
    rng, size = np.random.default_rng(seed), max(1, _MOST_VALUES // len(rows))
    drawn = []
    for first in range(0, n_resamples, size):
        block = range(first, min(first + size, n_resamples))
        response_BxN, weights_BxN = _resampled(
            law, rows, point, noise_N, objective, kind, len(block), rng, run_id_N
        )
        drawn.append(
            refit(
                law,
                rows.variables,
                point,
                response_BxN,
                weights_BxN * rows.weight,
                objective=objective,
                prior_draws=block,
            )
        )
    return np.concatenate(drawn)


def _resampled(
    law: Law,
    rows: Rows,
    point: PointFit,
    noise_N: np.ndarray,
    objective: Objective,
    kind: Resampling,
    n_resamples: int,
    rng: np.random.Generator,
    run_id_N: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Responses and weights `BxN` of the next resamples."""
    of_residuals = kind in ("residuals", "paired")
    if of_residuals and not law.is_logged(objective):
        fitted_N = rows.response - point.residuals_N
        drawn_BxN = signed(noise_N, n_resamples, rng, objective.quantile, keeps=kind == "paired")
        response_BxN = fitted_N + drawn_BxN
        return response_BxN, np.ones(response_BxN.shape)
    return resamples(
        kind,
        rows.response,
        # Residuals of a law without logs are no logs, but then only rows or runs are drawn.
        rows.response * np.exp(-point.residuals_N) if of_residuals else rows.response,
        noise_N,
        n_resamples,
        rng,
        run_id_N,
        objective.quantile,
    )


def resamples(
    kind: Resampling,
    loss_N: np.ndarray,
    fitted_N: np.ndarray,
    noise_N: np.ndarray,
    n_resamples: int,
    seed: int | np.random.Generator,
    run_id_N: np.ndarray | None = None,
    quantile: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Losses and weights `BxN` of the resamples.

    `residuals` keeps every row and gives each its own `noise_N` about its fitted loss, with
    random signs: the wild bootstrap, of Feng, He and Hu 2011 (Biometrika 98, 995) for a fit of
    the `quantile`. It suits planned grids, whose corners pin the law and must not drop out, and
    rows of unequal noise. `rows` draws rows with
    replacement; a row's weight is how often it was drawn. `runs` draws whole
    runs, for tables with several rows of one run, which are not independent. `paired` is
    `residuals`, except that the random signs multiply the residuals and not their sizes, so that
    tables of the same runs, resampled from one seed, keep the correlation of their residuals.

    Raises:
        InputError: `runs` without knowing which run a row belongs to.
    """
    rng, n = np.random.default_rng(seed), len(loss_N)
    if kind == "rows":
        weights_BxN = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
        return np.broadcast_to(loss_N, weights_BxN.shape), weights_BxN.astype(np.float64)
    if kind == "runs":
        return np.broadcast_to(loss_N, (n_resamples, n)), _run_weights(rng, n_resamples, run_id_N)
    drawn_BxN = signed(noise_N, n_resamples, seed, quantile, keeps=kind == "paired")
    return fitted_N * np.exp(drawn_BxN), np.ones((n_resamples, n))


def signed(
    noise_N: np.ndarray,
    n_resamples: int,
    seed: int | np.random.Generator,
    quantile: float,
    *,
    keeps: bool = False,
) -> np.ndarray:
    """Every row's noise with random signs, `BxN`; a share `quantile` of them lies below zero.

    With `keeps`, the noise keeps its own sign too, which changes no distribution at the quantile
    0.5; at another it has no effect.
    """
    below_BxN = np.random.default_rng(seed).random((n_resamples, len(noise_N))) < quantile
    sign_BxN = np.where(below_BxN, -2 * quantile, 2 * (1 - quantile))
    drawn_BxN: np.ndarray = sign_BxN * (noise_N if keeps and quantile == 0.5 else np.abs(noise_N))
    return drawn_BxN


def _run_weights(
    rng: np.random.Generator, n_resamples: int, run_id_N: np.ndarray | None
) -> np.ndarray:
    if run_id_N is None:
        raise InputError("resampling runs needs a column 'run_id': add it, or resample rows")
    names, run_N = np.unique(run_id_N, return_inverse=True)
    drawn_BxR = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples)
    return drawn_BxR[:, run_N].astype(np.float64)


def unseen_noise(
    residuals_N: np.ndarray, leverage_N: np.ndarray, objective: Objective
) -> np.ndarray:
    """Residuals as large as they would be of rows that the fit had not seen.

    Least squares draws the law towards a row by its leverage `h`, so its residuals are divided by
    `sqrt(1 - h)`. A fit of nearly absolute values, as Huber's with a delta below the noise, passes
    through as many rows as it has constants, whatever their noise was; the distance that a row
    moves it is `h / (2 f)`, `f` the density of the noise at the law (Feng, He and Hu 2011), here
    that of a Gaussian of the residuals' robust scale.
    """
    if np.median(np.abs(residuals_N)) <= objective.delta:
        unseen_N: np.ndarray = residuals_N / np.sqrt(1 - np.minimum(leverage_N, _MOST_LEVERAGE))
        return unseen_N
    # As many constants as the rows determine: priors determine the others.
    n_constants = math.ceil(leverage_N.sum() - _ROUNDING)
    moved_N = leverage_N * math.sqrt(math.pi / 2) * robust_scale(residuals_N, n_constants)
    return residuals_N + np.where(residuals_N < 0, -moved_N, moved_N)


def noise_of_rows(point: PointFit, objective: Objective) -> np.ndarray:
    """`unseen_noise` of a fit."""
    return unseen_noise(point.residuals_N, point.leverage_N, objective)


def scaled_noise(residuals_N: np.ndarray, n_constants: int) -> np.ndarray:
    """Residuals of least squares, scaled up for the degrees of freedom the fit used."""
    n = len(residuals_N)
    return residuals_N * np.sqrt(n / (n - n_constants)) if n > n_constants else residuals_N
