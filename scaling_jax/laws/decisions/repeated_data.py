"""The optimum when unique tokens run out and are repeated, after Muennighoff et al. 2023.

A token that is seen again teaches less, and so do parameters beyond what the unique tokens
support; with U unique tokens the law is `L = E + A / N'^alpha + B / D'^beta` (arXiv 2305.16264,
equation 5).
"""

import math
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Estimate
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.decisions.surface import (
    Law,
    Surface,
    increasing_root,
    require_positive,
    surface_of,
)

# R_D* and R_N* as published. On the released runs the objective is nearly flat in R_D*: it is
# bounded below (by about 5 to 7) but not above, and the published value is a local minimum.
TOKEN_REPEATS = 15.387756
PARAM_REPEATS = 5.309743


@dataclass(frozen=True)
class Decay:
    """How fast repeated tokens and surplus parameters lose their worth.

    Attributes:
        tokens: R_D*, repeats after which a repeat is worth 1/e of a fresh token.
        params: R_N*, the same of parameters beyond what the unique tokens support. Either may
            be infinite: nothing is lost.

    Raises:
        InputError: a constant that is not positive.
    """

    tokens: float = TOKEN_REPEATS
    params: float = PARAM_REPEATS

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
        tokens: all that are trained on, repeats included.
        epochs: tokens over the stock; below 1 where the stock is not used up.
        loss: nats per token.
        effective_params, effective_tokens: N' and D', what they are worth.
        unlimited_loss: what the budget would reach with as many unique tokens as it wants.
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
    law: Law, *, flops: float, unique_tokens: float, decay: Decay = PUBLISHED_DECAY
) -> RepeatedOptimum:
    """The params and epochs of the lowest loss at 6 N D = `flops` on `unique_tokens`.

    Muennighoff et al. 2023: D' = U + U R_D* (1 - exp(-R_D / R_D*)) with R_D = D / U - 1, and
    likewise N' beyond the N whose optimal tokens are U. A fit of `law` says nothing of R_D* and
    R_N*, which is why they are arguments; see `TOKEN_REPEATS` for how little is known of R_D*.

    Raises:
        InputError: a budget or stock that is not positive, or a law of another shape.
    """
    surface = surface_of(law)
    require_positive("flops", flops, "give a budget in FLOPs")
    require_positive("unique_tokens", unique_tokens, "give the tokens there are")
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
    law: Law,
    *,
    params: float,
    tokens: float,
    unique_tokens: float,
    decay: Decay = PUBLISHED_DECAY,
) -> Estimate:
    """Loss of a model trained on `tokens`, of which `unique_tokens` are unique, nats per token.

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
    """Log of the N whose compute-optimal tokens are these: alpha A / N^alpha = beta B / D^beta."""
    with np.errstate(all="ignore"):
        log_eps_R = np.log(surface.beta_R) + surface.log_b_R - surface.beta_R * np.log(tokens)
        return (np.log(surface.alpha_R) + surface.log_a_R - log_eps_R) / surface.alpha_R


def _best_epochs(surface: Surface, flops: float, unique_tokens: float, decay: Decay) -> np.ndarray:
    """Epochs at which params and tokens are worth the same at the margin, at fixed compute.

    With more epochs the model is smaller, so log(epsN nu / (epsD delta)) rises, nu and delta
    being the elasticities of N' in N and of D' in D. It crosses zero between one epoch and the
    epochs of the model that the stock supports.
    """
    log_supported_R = _log_supported_params(surface, unique_tokens)
    with np.errstate(all="ignore"):
        log_most_R = np.log(flops / FLOPS_PER_PARAM_TOKEN / unique_tokens) - log_supported_R

    def condition(log_epochs_R: np.ndarray) -> np.ndarray:
        log_params_R, slope_N_R = _worth(log_most_R - log_epochs_R, decay.params)
        log_tokens_R, slope_D_R = _worth(log_epochs_R, decay.tokens)
        # At the supported model and one epoch both sides are equal, so constants cancel.
        gain_N_R = slope_N_R - surface.alpha_R * log_params_R
        return gain_N_R - slope_D_R + surface.beta_R * log_tokens_R

    return np.exp(increasing_root(condition, np.zeros_like(log_most_R), log_most_R))


def _worth(log_ratio_R: np.ndarray, repeats: float) -> tuple[np.ndarray, np.ndarray]:
    """Log of the effective ratio, and log of its elasticity in the ratio, for ratios above 1."""
    ratio_R = np.exp(log_ratio_R)
    log_worth_R = np.log(effective_ratio(ratio_R, repeats))
    return log_worth_R, log_ratio_R - (ratio_R - 1) / repeats - log_worth_R
