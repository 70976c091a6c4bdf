"""What keeps measured losses off a law: scatter, outliers, seeds, training, rounding."""

import math
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError

# Tokens per parameter below which a model counts as undertrained.
AMPLE_TOKENS = 20.0


@dataclass(frozen=True)
class Noise:
    """How measured losses differ from the law's; all zero is no noise.

    Attributes:
        scale: of the log loss of single runs: its standard deviation where it is normal.
        freedom: degrees of freedom of Student's t, whose scale is then `scale`; infinite is normal.
        outliers: share of runs that went wrong.
        outlier_size: relative loss that such a run lies too high.
        seeds: runs of every cell.
        seed_scale: standard deviation of an offset in log loss that all runs of a seed share.
        undertrained: relative loss added per decade of N above the smallest and per decade of
            tokens per parameter below 20, as where large models get too few steps.
        quantum: step that losses are rounded to, in nats, as where they are read off a figure.

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
    """Log losses of single runs less those they should have."""
    if math.isinf(noise.freedom):
        log_ratio = rng.standard_normal(shape)
    else:
        log_ratio = rng.standard_t(noise.freedom, shape)
    wrong = rng.random(shape) < noise.outliers
    return noise.scale * log_ratio + math.log1p(noise.outlier_size) * wrong


def measured_losses(
    loss_N: np.ndarray,
    params_N: np.ndarray,
    tokens_N: np.ndarray,
    noise: Noise,
    n_studies: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Losses `MxSxN` of M studies that each train every cell once per seed."""
    shape = (n_studies, noise.seeds, len(loss_N))
    offset_MxSx1 = noise.seed_scale * rng.standard_normal((*shape[:2], 1))
    excess_N = noise.undertrained * undertraining(params_N, tokens_N)
    loss = loss_N * (1 + excess_N) * np.exp(scatter(noise, rng, shape) + offset_MxSx1)
    if noise.quantum:
        # Nothing is read off a figure as a loss of zero.
        loss = np.maximum(np.round(loss / noise.quantum), 1) * noise.quantum
    return loss


def undertraining(params_N: np.ndarray, tokens_N: np.ndarray) -> np.ndarray:
    """Decades of N above the smallest, times decades of tokens per parameter below 20."""
    larger_N = np.log10(params_N / params_N.min())
    short_N = np.maximum(np.log10(AMPLE_TOKENS * params_N / tokens_N), 0)
    return larger_N * short_N
