"""The gradient noise scale of a run: its estimate, its interval, and the curve of it on disk.

With G the true gradient and Sigma the covariance of the gradient of one sequence, the noise scale
is `B_simple = tr(Sigma) / |G|^2` (McCandlish et al. 2018, 1812.06162, section 2.2). Tokens of a
sequence are not independent, so a sequence is the unit; `B_simple` in tokens is that number of
sequences times their length.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.config import RunConfig

NOISE_FILE = "noise_scale.jsonl"

# The record of a run averages the measurements after this share of its tokens.
_RECORDED_FROM = 0.5


@dataclass(frozen=True)
class GradientNoise:
    """Estimates of `|G|^2` and `tr(Sigma)`, and the covariance of their errors.

    Attributes:
        grad_sq: estimate of `|G|^2`. It is unbiased, so it can be negative.
        noise: estimate of `tr(Sigma)` of a gradient of one sequence.
        grad_sq_var, noise_var, covariance: variances and covariance of the two estimates.
        n: number of gradients that they were estimated from.
    """

    grad_sq: float
    noise: float
    grad_sq_var: float
    noise_var: float
    covariance: float
    n: int

    def scale(self, level: float = 0.95) -> tuple[float, float, float]:
        """`B_simple` in sequences and the ends of its interval at `level`.

        The interval is Fieller's for a ratio. Its upper end is infinite where `|G|^2` cannot be
        distinguished from zero. The estimate is infinite where that of `|G|^2` is not positive.
        """
        from scipy.stats import t as student

        t = float(student.ppf((1 + level) / 2, self.n - 1))
        ratio = self.noise / self.grad_sq if self.grad_sq > 0 else math.inf
        return ratio, *_fieller(self, t)


def gradient_noise(norms_K: np.ndarray, dots_K: np.ndarray, small: int) -> GradientNoise:
    """The noise from K gradients g_k, each the mean gradient of `small` sequences.

    The estimates are unbiased (appendix A.1 of the paper, with the batch sizes `small` and
    `K * small`). Their covariance is that of the jackknife over the gradients. It is too large, at
    most by a factor of 2, where `|G|^2` is small beside its error (Efron and Stein 1981), which
    makes up for the skewness of the estimates there.

    Args:
        norms_K: `|g_k|^2`.
        dots_K: inner products of g_k with the mean of all gradients.
        small: number of sequences in each gradient.
    """
    norms_K, dots_K = (np.asarray(values, np.float64) for values in (norms_K, dots_K))
    k, norm, mean_sq = len(norms_K), norms_K.mean(), dots_K.mean()
    left_out_2xK = np.stack(
        _unbiased(
            (k * norm - norms_K) / (k - 1),
            (k**2 * mean_sq - 2 * k * dots_K + norms_K) / (k - 1) ** 2,
            k - 1,
            small,
        )
    )
    (grad_sq_var, covariance), (_, noise_var) = np.cov(left_out_2xK, bias=True) * (k - 1)
    grad_sq, noise = _unbiased(norm, mean_sq, k, small)
    return GradientNoise(
        float(grad_sq), float(noise), float(grad_sq_var), float(noise_var), float(covariance), k
    )


def _unbiased(norm: Any, mean_sq: Any, k: int, small: int) -> tuple[Any, Any]:
    """`|G|^2` and `tr(Sigma)` from the mean of k squared norms and the squared norm of the mean."""
    return (k * mean_sq - norm) / (k - 1), small * (norm - mean_sq) * k / (k - 1)


def together(noises: Sequence[GradientNoise]) -> GradientNoise:
    """The mean of independent measurements, for the ratio of means."""

    def mean(name: str, power: int = 1) -> float:
        return sum(getattr(noise, name) for noise in noises) / len(noises) ** power

    return GradientNoise(
        mean("grad_sq"),
        mean("noise"),
        mean("grad_sq_var", 2),
        mean("noise_var", 2),
        mean("covariance", 2),
        min(noise.n for noise in noises),
    )


def _fieller(noise: GradientNoise, t: float) -> tuple[float, float]:
    """Ends of the x >= 0 at which `noise - x grad_sq` is within t standard errors of zero."""
    a = noise.grad_sq**2 - t**2 * noise.grad_sq_var
    b = noise.noise * noise.grad_sq - t**2 * noise.covariance
    c = noise.noise**2 - t**2 * noise.noise_var
    root = b**2 - a * c
    if not all(map(math.isfinite, (a, b, c))) or c <= 0 or root < 0:
        return 0.0, math.inf
    # The root c / (b + sqrt(root)) is the lower end where it is positive.
    low = c / (b + math.sqrt(root)) if b + math.sqrt(root) > 0 else 0.0
    if a <= 0 or noise.grad_sq <= 0:
        return low, math.inf
    return low, (b + math.sqrt(root)) / a


def noise_row(step: int, tokens: int, noise: GradientNoise) -> dict[str, Any]:
    """The row of a curve of measurements after `step` steps."""
    return {
        "step": step,
        "tokens": tokens,
        "grad_sq": noise.grad_sq,
        "noise": noise.noise,
        "grad_sq_var": noise.grad_sq_var,
        "noise_var": noise.noise_var,
        "covariance": noise.covariance,
    }


def noise_in(row: Mapping[str, Any], config: RunConfig) -> GradientNoise:
    """The measurement that a row holds; NaN where a number was not finite."""
    assert config.noise_scale is not None

    def number(name: str) -> float:
        return math.nan if row.get(name) is None else float(row[name])

    return GradientNoise(
        number("grad_sq"),
        number("noise"),
        number("grad_sq_var"),
        number("noise_var"),
        number("covariance"),
        config.noise_scale.n_gradients,
    )


def noise_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """A hash of a curve of measurements, which a run's result holds."""
    return hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest()[:32]


def noise_fault(
    rows: Sequence[Mapping[str, Any]], digest: str | None, config: RunConfig
) -> str | None:
    """Why `rows` cannot be the measurements of a finished run; None if they can."""
    if [row["step"] for row in rows] != list(config.noise_steps):
        return f"has {len(rows):,} of {len(config.noise_steps):,} measurements, or is damaged"
    if digest != noise_digest(rows):
        return "was changed after the run had ended, or belongs to another run"
    return None


def noise_record(rows: Sequence[Mapping[str, Any]], config: RunConfig) -> dict[str, float | None]:
    """What the record of a run has of its noise scale, by column, in tokens.

    The measurements of the last half of the run are averaged before the ratio is taken. An end
    that is infinite, or a ratio that is not defined, is None.
    """
    late = [row for row in rows if row["tokens"] >= _RECORDED_FROM * config.tokens]
    names = ("noise_scale_tokens", "noise_scale_low", "noise_scale_high")
    if not late:
        return dict.fromkeys(names)
    found = together([noise_in(row, config) for row in late]).scale()
    return {
        name: value * config.shape.seq_len if math.isfinite(value) else None
        for name, value in zip(names, found, strict=True)
    }
