"""Draws of a law's constants given a table's rows, and the scatter of single runs."""

import numpy as np

from scaling_jax.laws.extrapolation.correlated import Component
from scaling_jax.laws.extrapolation.posterior import Posterior
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.select import clusters
from scaling_jax.laws.uncertainty.bootstrap import resamples

# Quantiles of a run's noise that stand for its distribution.
_N_QUANTILES = 64


def drawn_constants(found: Posterior, options: Options, stretch: float) -> list[np.ndarray]:
    """Constants `BxP` of every form, drawn given the rows, in proportion to its weight.

    The part of the constants' error that the noise of rows makes is drawn by resampling the rows'
    residuals, to first order (the score bootstrap; Kline and Santos 2012, J. Econometric Methods
    1, 23), so that tables of the same runs can be resampled together. What is left, which misfit
    and priors make, is normal and a table's own.

    Args:
        found: forms fitted to rows.
        options: of the fit: how many draws, what is resampled, and the seed.
        stretch: what to multiply errors by.
    """
    weight_C = found.weight_JxC.ravel()
    ends = np.rint(np.cumsum(weight_C) * options.bootstrap).astype(int)
    counts_JxC = np.diff(ends, prepend=0).reshape(found.weight_JxC.shape)
    # Two tables' misfits are independent: the same seed gives each draws of its own.
    seed = [options.seed, int(found.rows.fingerprint[:8], 16)]
    factor_BxN = _resampled(found, options, [*seed, 1])
    rng, first, drawn = np.random.default_rng(seed), 0, []
    for law, each, counts_C in zip(found.laws, found.components, counts_JxC, strict=True):
        parts = [np.empty((0, int(law.free_P.sum())))]
        for component, count in zip(each, counts_C.tolist(), strict=True):
            if count:
                own_BxF = rng.standard_normal((count, len(component.theta_F)))
                resampled_BxN = factor_BxN[first : first + count]
                parts.append(_moved(component, resampled_BxN, own_BxF, stretch))
                first += count
        drawn.append(law.constants(np.concatenate(parts)))
    return drawn


def noise_of_runs(found: Posterior) -> np.ndarray:
    """Numbers that scatter as single runs do about the law and its misfit, in logs."""
    from scipy.special import ndtri

    normal: np.ndarray = ndtri((np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES)
    scatter: np.ndarray = found.run * normal / np.sqrt(np.mean(normal**2))
    return scatter


def _moved(
    component: Component, factor_BxN: np.ndarray, own_BxF: np.ndarray, stretch: float
) -> np.ndarray:
    """Free constants `BxF` of one component."""
    gain_FxN = component.gain_FxN
    of_noise_FxF = (gain_FxN * component.variance_N) @ gain_FxN.T
    value_F, vector_FxF = np.linalg.eigh(component.covariance_FxF - of_noise_FxF)
    root_FxF = vector_FxF * np.sqrt(np.maximum(value_F, 0.0))
    # Residuals are smaller than the noise, since law and misfit follow the rows in part: a row's
    # noise has its residual's sign and the size that the fit gives it.
    noise_BxN = factor_BxN * np.copysign(np.sqrt(component.variance_N), component.residual_N)
    moved_BxF: np.ndarray = noise_BxN @ gain_FxN.T + own_BxF @ root_FxF.T
    return component.theta_F + stretch * moved_BxF


def _resampled(found: Posterior, options: Options, seed: list[int]) -> np.ndarray:
    """What rows' residuals are multiplied by in each resample, `BxN`."""
    rows, kind = found.rows, options.resampled
    ones_N = np.ones(len(rows))
    run_id_N = clusters(rows) if kind == "runs" else None
    # Tables of the same runs that are resampled together have the same signs.
    rng = options.seed if kind == "paired" else np.random.default_rng(seed)
    loss_BxN, times_BxN = resamples(
        kind, np.e * ones_N, ones_N, ones_N, options.bootstrap, rng, run_id_N
    )
    factor_BxN: np.ndarray = np.log(loss_BxN) if kind in ("residuals", "paired") else times_BxN - 1
    return factor_BxN
