"""The optimum when unique tokens run out and repeat, after Muennighoff et al. 2023.

A repeated token is worth less than a fresh one, and so is a parameter beyond what the unique
tokens support; with U unique tokens the law is `L = E + A / N'^alpha + B / D'^beta` (arXiv
2305.16264, equation 5).
"""

import math
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Estimate
from scaling_jax.laws.catalogue.size_and_data import DATA_CONSTRAINED
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.decisions.checks import require_positive
from scaling_jax.laws.decisions.surface import (
    Surface,
    SurfaceLike,
    increasing_root,
    surface_of,
)

_PUBLISHED = DATA_CONSTRAINED.published["muennighoff-2023"]


@dataclass(frozen=True)
class Decay:
    """How fast repeated tokens and surplus parameters lose their worth.

    By default as published. On the released runs the objective is nearly flat in R_D*: the runs
    bound R_D* from below (at about 5 to 7) but not from above, and the published value is a local
    minimum.

    Attributes:
        tokens: R_D*, repeats after which a repeat is worth 1/e of a fresh token.
        params: R_N*, the same of parameters beyond what the unique tokens support. Infinity means
            no loss of worth.

    Raises:
        InputError: a constant that is not positive.
    """

    tokens: float = _PUBLISHED["R_D"]
    params: float = _PUBLISHED["R_N"]

    def __post_init__(self) -> None:
        for name, value in (("R_D*", self.tokens), ("R_N*", self.params)):
            if not value > 0:
                raise InputError(
                    f"{name} {value:g} must be positive: give the repeats after which one is "
                    "worth 1/e, or infinity for no loss of worth"
                )


PUBLISHED_DECAY = Decay()


@dataclass(frozen=True)
class RepeatedOptimum:
    """The best run of a budget on a stock of unique tokens.

    Attributes:
        flops: the budget C.
        unique_tokens: the stock U.
        params: N.
        tokens: D, repeats included.
        epochs: tokens over the stock; below 1 where part of the stock is left.
        loss: nats per token.
        effective_params, effective_tokens: N' and D', the fresh equivalents of N and D.
        unlimited_loss: nats per token at the optimum of an unlimited stock.
    """

    flops: float
    unique_tokens: float
    params: Estimate
    tokens: Estimate
    epochs: Estimate
    loss: Estimate
    effective_params: Estimate
    effective_tokens: Estimate
    unlimited_loss: Estimate


def repeated_optimum(
    law: SurfaceLike, *, flops: float, unique_tokens: float, decay: Decay = PUBLISHED_DECAY
) -> RepeatedOptimum:
    """The params and epochs of the lowest loss at 6 N D = `flops` on `unique_tokens`.

    Muennighoff et al. 2023: D' = U + U R_D* (1 - exp(-R_D / R_D*)) with R_D = D / U - 1, and
    likewise N' beyond the N whose optimal tokens are U. Runs of one epoch do not determine R_D*
    and R_N*, so they are arguments.

    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> law = laws.Surface.of("chinchilla", CHINCHILLA.published["muennighoff-2023-c4"])
    >>> best = laws.repeated_optimum(law, flops=1e22, unique_tokens=25e9)
    >>> f"{best.params.value:.2g} parameters, {best.epochs.value:.1f} epochs"
    '8.2e+09 parameters, 8.1 epochs'

    Args:
        law: a fit of approach 3, or a surface.
        flops: the budget.
        unique_tokens: the stock.
        decay: how fast repeats lose their worth.

    Raises:
        InputError: a budget or stock that is not positive, or a law of another shape.
    """
    surface = surface_of(law)
    require_positive("flops", flops, "give a budget in FLOPs")
    require_positive("unique_tokens", unique_tokens, "give the number of distinct tokens")
    free_params_R, free_tokens_R = surface.training_optimum(flops)
    with np.errstate(all="ignore"):
        epochs_R = np.where(
            free_tokens_R > unique_tokens,
            _best_epochs(surface, flops, unique_tokens, decay),
            free_tokens_R / unique_tokens,
        )
        tokens_R = epochs_R * unique_tokens
        params_R = flops / FLOPS_PER_PARAM_TOKEN / tokens_R
    worth = _effective(surface, params_R, tokens_R, unique_tokens, decay)
    return RepeatedOptimum(
        flops=float(flops),
        unique_tokens=float(unique_tokens),
        params=surface.estimate(params_R),
        tokens=surface.estimate(tokens_R),
        epochs=surface.estimate(epochs_R),
        loss=surface.estimate(surface.loss(*worth)),
        effective_params=surface.estimate(worth[0]),
        effective_tokens=surface.estimate(worth[1]),
        unlimited_loss=surface.estimate(surface.loss(free_params_R, free_tokens_R)),
    )


def repeated_loss(
    law: SurfaceLike,
    *,
    params: float,
    tokens: float,
    unique_tokens: float,
    decay: Decay = PUBLISHED_DECAY,
) -> Estimate:
    """Loss of a model trained on `tokens`, of which `unique_tokens` are unique, nats per token.

    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> law = laws.Surface.of("chinchilla", CHINCHILLA.published["muennighoff-2023-c4"])
    >>> once, often = (
    ...     laws.repeated_loss(law, params=1e9, tokens=1e11, unique_tokens=unique).value
    ...     for unique in (1e11, 5e9)
    ... )
    >>> f"{once:.3f} from fresh tokens, {often:.3f} from 20 epochs"
    '2.421 from fresh tokens, 2.485 from 20 epochs'

    Raises:
        InputError: a number that is not positive, or a law of another shape.
    """
    surface = surface_of(law)
    for name, value in (("params", params), ("tokens", tokens), ("unique_tokens", unique_tokens)):
        require_positive(name, value, "give a number of them")
    return surface.estimate(
        surface.loss(*_effective(surface, params, tokens, unique_tokens, decay))
    )


def effective_ratio(ratio: np.ndarray | float, repeats: float) -> np.ndarray:
    """Worth of `ratio` times a stock, in stocks: ratio up to 1, then 1 + R* (1 - e^(-R / R*)).

    R = ratio - 1 are the repeats and R* is `repeats`, the constant of their decay.
    """
    ratio = np.asarray(ratio, np.float64)
    if math.isinf(repeats):
        return ratio
    with np.errstate(all="ignore"):
        return np.where(ratio <= 1, ratio, 1 - repeats * np.expm1(-(ratio - 1) / repeats))


def _effective(
    surface: Surface,
    params_R: np.ndarray | float,
    tokens_R: np.ndarray | float,
    unique_tokens: float,
    decay: Decay,
) -> tuple[np.ndarray, np.ndarray]:
    """N' and D' of every row."""
    unique_R = np.minimum(tokens_R, unique_tokens)
    supported_R = np.exp(_log_supported_params(surface, unique_R))
    with np.errstate(all="ignore"):
        return (
            supported_R * effective_ratio(params_R / supported_R, decay.params),
            unique_R * effective_ratio(tokens_R / unique_R, decay.tokens),
        )


def _log_supported_params(surface: Surface, tokens: np.ndarray | float) -> np.ndarray:
    """Log of the N for which the tokens are optimal: alpha A / N^alpha = beta B / D^beta."""
    with np.errstate(all="ignore"):
        log_eps_R = np.log(surface.beta_R) + surface.log_b_R - surface.beta_R * np.log(tokens)
        log_ratio_R = np.log(surface.alpha_R) + surface.log_a_R - log_eps_R
        log_params_R: np.ndarray = log_ratio_R / surface.alpha_R
    return log_params_R


def _best_epochs(surface: Surface, flops: float, unique_tokens: float, decay: Decay) -> np.ndarray:
    """Epochs at which params and tokens are worth the same at the margin, at fixed compute.

    At the optimum epsN nu = epsD delta, with epsN = alpha A / N'^alpha, epsD = beta B / D'^beta
    and nu, delta the elasticities of N' in N and of D' in D. More epochs at fixed compute mean a
    smaller model, so log(epsN nu / (epsD delta)) rises with epochs. It crosses zero between one
    epoch and the epochs of the model that the stock supports.
    """
    log_supported_R = _log_supported_params(surface, unique_tokens)
    with np.errstate(all="ignore"):
        log_most_R = np.log(flops / FLOPS_PER_PARAM_TOKEN / unique_tokens) - log_supported_R

    def condition(log_epochs_R: np.ndarray) -> np.ndarray:
        log_params_R, slope_N_R = _worth(log_most_R - log_epochs_R, decay.params)
        log_tokens_R, slope_D_R = _worth(log_epochs_R, decay.tokens)
        # At one epoch of the supported model epsN = epsD, so A, B, alpha and beta cancel out.
        gain_N_R = slope_N_R - surface.alpha_R * log_params_R
        excess_R: np.ndarray = gain_N_R - slope_D_R + surface.beta_R * log_tokens_R
        return excess_R

    log_epochs_R = increasing_root(condition, np.zeros_like(log_most_R), log_most_R)
    epochs_R: np.ndarray = np.exp(log_epochs_R)
    return epochs_R


def _worth(log_ratio_R: np.ndarray, repeats: float) -> tuple[np.ndarray, np.ndarray]:
    """Log of the effective ratio, and log of its elasticity in the ratio, for ratios above 1."""
    ratio_R = np.exp(log_ratio_R)
    log_worth_R = np.log(effective_ratio(ratio_R, repeats))
    return log_worth_R, log_ratio_R - (ratio_R - 1) / repeats - log_worth_R
