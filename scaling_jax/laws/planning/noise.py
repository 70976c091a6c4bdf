"""Noise of measured losses about a law: scatter, outliers, seeds, training, rounding."""

import math
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError

# Tokens per parameter below which a model counts as undertrained: about the optimum of Hoffmann et
# al. 2022.
_AMPLE_TOKENS = 20.0


@dataclass(frozen=True)
class Noise:
    """How measured losses differ from the law's; with every number at zero they do not.

    Attributes:
        scale: standard deviation of the log loss of single runs, if it is normal.
        freedom: degrees of freedom of Student's t with that scale; infinity means a normal.
        outliers: share of failed runs.
        outlier_size: relative excess in the loss of a failed run.
        seeds: runs of every cell.
        seed_scale: standard deviation of an offset in log loss that all runs of a seed share.
        undertrained: relative loss added per decade of N above the smallest and per decade of
            tokens per parameter below 20, as when large models get too few steps.
        quantum: step that losses are rounded to, in nats, as when they are read off a figure.

    Raises:
        InputError: a number outside its range.
    """

    scale: float = 0.003
    freedom: float = math.inf
    outliers: float = 0.0
    outlier_size: float = 0.05
    seeds: int = 1
    seed_scale: float = 0.0
    undertrained: float = 0.0
    quantum: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale", "outlier_size", "seed_scale", "undertrained", "quantum"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"noise {name} {getattr(self, name)} must be 0 or more and finite")
        if not self.freedom > 0:
            raise InputError(f"noise freedom {self.freedom} must be positive")
        if not 0 <= self.outliers < 1:
            raise InputError(f"noise outliers {self.outliers} is a share: 0 or more, below 1")
        if self.seeds < 1:
            raise InputError(f"noise seeds {self.seeds}: give at least 1")


def scatter(noise: Noise, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Log losses of single runs minus those of the law, of a given shape."""
    if math.isinf(noise.freedom):
        log_ratio = rng.standard_normal(shape)
    else:
        log_ratio = rng.standard_t(noise.freedom, shape)
    failed = rng.random(shape) < noise.outliers
    return noise.scale * log_ratio + math.log1p(noise.outlier_size) * failed


def measured_losses(
    loss_N: np.ndarray,
    params_N: np.ndarray,
    tokens_N: np.ndarray,
    noise: Noise,
    n_studies: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Losses `MxSxN`, nats per token, of M studies that train each of N cells with S seeds.

    Args:
        loss_N, params_N, tokens_N: the law's loss of every cell, with its size and tokens.
        noise: of the measurement.
        n_studies: M.
        rng: the source of randomness.
    """
    shape = (n_studies, noise.seeds, len(loss_N))
    offset_MxSx1 = noise.seed_scale * rng.standard_normal((*shape[:2], 1))
    excess_N = noise.undertrained * undertraining(params_N, tokens_N)
    loss = loss_N * (1 + excess_N) * np.exp(scatter(noise, rng, shape) + offset_MxSx1)
    if noise.quantum:
        # A loss of zero has no logarithm; the smallest reading is one step.
        loss = np.maximum(np.round(loss / noise.quantum), 1) * noise.quantum
    return loss


def undertraining(params_N: np.ndarray, tokens_N: np.ndarray) -> np.ndarray:
    """Decades of N above the smallest, times decades of tokens per parameter below 20."""
    larger_N = np.log10(params_N / params_N.min())
    short_N = np.maximum(np.log10(_AMPLE_TOKENS * params_N / tokens_N), 0)
    excess_N: np.ndarray = larger_N * short_N
    return excess_N
