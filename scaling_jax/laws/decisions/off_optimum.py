"""The cost of training a model larger or smaller than the compute-optimal one.

At equal loss the cost depends on the two exponents alone. For L = E + A / N^alpha + B / D^beta it
is "Harm's law" (de Vries 2023, "Go smol or go home"); the same function is equation B.16 of Kaplan
et al. 2020 (arXiv 2001.08361) for L = (N_c / N)^alpha_N + (S_c / S)^alpha_S, where steps S take
the role of tokens: at a fixed batch size both are proportional.
"""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Estimate
from scaling_jax.laws.decisions.checks import require_positive
from scaling_jax.laws.decisions.surface import SurfaceLike, increasing_root, surface_of

Numbers = np.ndarray | float


@dataclass(frozen=True)
class Deviation:
    """A model off the optimal size, beside the optimal model of the same loss.

    Attributes:
        size_ratio: its params over the optimal ones.
        tokens_ratio, compute_ratio: its training tokens (or steps) and FLOPs over the optimal
            ones; infinite where the model is too small to reach the loss.
    """

    size_ratio: float
    tokens_ratio: Estimate
    compute_ratio: Estimate


@dataclass(frozen=True)
class SizeRange:
    """The sizes that reach the optimum's loss with at most `extra` more compute.

    Attributes:
        extra: 0.1 is 10 % more than the optimum's compute.
        smallest, largest: params over the optimal ones.
        smallest_tokens, largest_tokens: training tokens of both sizes over the optimal ones.
    """

    extra: float
    smallest: Estimate
    largest: Estimate
    smallest_tokens: Estimate
    largest_tokens: Estimate


def size_deviation(law: SurfaceLike, size_ratio: float) -> Deviation:
    """Tokens and compute that a model of `size_ratio` times the optimal size needs.

    The model reaches the loss of the optimum; the budget of the optimum does not matter.

    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> law = laws.Surface.of("chinchilla", CHINCHILLA.published["de-vries-2023"])
    >>> round(laws.size_deviation(law, 0.5).compute_ratio.value, 2)
    1.21

    Raises:
        InputError: a ratio that is not positive, or below the smallest that reaches the loss.
    """
    surface = surface_of(law)
    require_positive("size_ratio", size_ratio, "give params over the optimal params")
    least = float(smallest_ratio(surface.alpha_R[0], surface.beta_R[0]))
    if size_ratio <= least:
        raise InputError(
            f"size_ratio {size_ratio:g} must be above {least:.3g}: a smaller model never reaches "
            "the loss, however long it trains; give a larger one"
        )
    tokens_R = tokens_ratio(size_ratio, surface.alpha_R, surface.beta_R)
    return Deviation(
        size_ratio=float(size_ratio),
        tokens_ratio=surface.estimate(tokens_R),
        compute_ratio=surface.estimate(size_ratio * tokens_R),
    )


def size_range(law: SurfaceLike, extra: float) -> SizeRange:
    """The smallest and largest model that need at most `extra` more compute than the optimum.

    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> law = laws.Surface.of("chinchilla", CHINCHILLA.published["de-vries-2023"])
    >>> found = laws.size_range(law, 0.1)
    >>> f"{found.smallest.value:.2f} to {found.largest.value:.2f} times the optimal size"
    '0.60 to 1.83 times the optimal size'

    Raises:
        InputError: an `extra` that is not positive, or a law of another shape.
    """
    surface = surface_of(law)
    alpha_R, beta_R = surface.alpha_R, surface.beta_R
    low_R, high_R = sizes_within(extra, alpha_R, beta_R)
    return SizeRange(
        extra=float(extra),
        smallest=surface.estimate(low_R),
        largest=surface.estimate(high_R),
        smallest_tokens=surface.estimate(tokens_ratio(low_R, alpha_R, beta_R)),
        largest_tokens=surface.estimate(tokens_ratio(high_R, alpha_R, beta_R)),
    )


def tokens_ratio(size_ratio: Numbers, alpha: Numbers, beta: Numbers) -> np.ndarray:
    """Tokens (or steps) over the optimal ones at `size_ratio` times the optimal size, equal loss.

    `[1 + (beta / alpha) (1 - k^-alpha)]^(-1 / beta)` for k times the size: it keeps
    A / N^alpha + B / D^beta, given alpha A / N^alpha = beta B / D^beta at the optimum (Kaplan et
    al. 2020, equation B.16). Times k it is the ratio of compute. Infinite where the model is too
    small to reach the loss.
    """
    size_ratio = np.asarray(size_ratio, np.float64)
    # expm1 and log1p keep ratios near 1 exact, where the cost is of second order.
    with np.errstate(all="ignore"):
        change = -np.expm1(-alpha * np.log(size_ratio)) * beta / alpha
        return np.where(change <= -1, np.inf, np.exp(-np.log1p(np.maximum(change, -1)) / beta))


def smallest_ratio(alpha: Numbers, beta: Numbers) -> np.ndarray:
    """Size over the optimal size below which no number of tokens reaches the optimum's loss."""
    with np.errstate(all="ignore"):
        return np.exp(-np.log1p(np.divide(alpha, beta)) / alpha)


def sizes_within(extra: float, alpha: Numbers, beta: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest size over the optimal size at `1 + extra` times the optimum's compute.

    Raises:
        InputError: an `extra` that is not positive.
    """
    require_positive("extra", extra, "give a share of the optimum's compute, such as 0.1")
    allowed = np.log1p(extra)
    alpha, beta = np.asarray(alpha, np.float64), np.asarray(beta, np.float64)

    def beyond(log_size: np.ndarray) -> np.ndarray:
        log_tokens = np.log(tokens_ratio(np.exp(log_size), alpha, beta))
        excess: np.ndarray = log_size + log_tokens - allowed
        return excess

    with np.errstate(all="ignore"):
        # A model of unlimited size still needs (1 + beta / alpha)^(-1 / beta) of the tokens.
        most = allowed + np.log1p(beta / alpha) / beta
        low = increasing_root(
            lambda log_size: -beyond(log_size),
            np.log(smallest_ratio(alpha, beta)),
            np.zeros_like(most),
        )
        high = increasing_root(beyond, np.zeros_like(most), most)
    return np.exp(low), np.exp(high)
