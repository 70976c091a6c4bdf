"""The optimum of training and serving together, after Sardana et al. 2024 (arXiv 2401.00448)."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Estimate
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.decisions.checks import (
    require_at_least_zero,
    require_positive,
    require_utilization,
)
from scaling_jax.laws.decisions.surface import (
    Surface,
    SurfaceLike,
    increasing_root,
    softplus,
    surface_of,
)

# A served token takes the forward pass alone: a multiply and an add per parameter.
_FLOPS_PER_PARAM_SERVED_TOKEN = 2


@dataclass(frozen=True)
class Rate:
    """The cost of a useful FLOP: the price of a FLOP of the peak over the utilization.

    Attributes:
        utilization: share of the peak, above 0 and at most 1.
        price: of one FLOP of the peak, in any unit; at 1, costs are FLOPs of the peak.

    Raises:
        InputError: a utilization outside (0, 1], or a price that is not positive.
    """

    utilization: float = 1.0
    price: float = 1.0

    def __post_init__(self) -> None:
        require_utilization(self.utilization)
        require_positive("price per FLOP", self.price, "give 1 for costs in FLOPs")

    @property
    def per_flop(self) -> float:
        """Cost of one useful FLOP."""
        return self.price / self.utilization


@dataclass(frozen=True)
class Demand:
    """Tokens that a model serves in its lifetime, and the cost of a FLOP in every phase.

    Attributes:
        prefill_tokens: tokens of prompts.
        decode_tokens: generated tokens.
        training, prefill, decode: cost of a FLOP in each phase; by default 1, so costs are FLOPs.

    Raises:
        InputError: tokens that are negative or not finite.
    """

    prefill_tokens: float = 0.0
    decode_tokens: float = 0.0
    training: Rate = Rate()
    prefill: Rate = Rate()
    decode: Rate = Rate()

    def __post_init__(self) -> None:
        remedy = "give the tokens of the model's lifetime"
        require_at_least_zero("prefill tokens", self.prefill_tokens, remedy)
        require_at_least_zero("decode tokens", self.decode_tokens, remedy)

    @property
    def cost_per_param(self) -> float:
        """Cost of serving, per parameter."""
        return _FLOPS_PER_PARAM_SERVED_TOKEN * (
            self.prefill_tokens * self.prefill.per_flop + self.decode_tokens * self.decode.per_flop
        )

    @property
    def equivalent_tokens(self) -> float:
        """Training tokens that cost as much as serving does; a third of D_inf at equal rates."""
        return self.cost_per_param / (FLOPS_PER_PARAM_TOKEN * self.training.per_flop)


@dataclass(frozen=True)
class ServedOptimum:
    """A model to train and serve, beside the model of the same loss that is cheapest to train.

    Attributes:
        loss: nats per token.
        params, tokens: N and training tokens D.
        cost: of training and serving, in the unit of the rates.
        serving_share: share of serving in the cost.
        train_only_params, train_only_tokens: N and D of the model that is cheapest to train.
        saving: share of the cost of training and serving that model which is saved.
        extra_training: training FLOPs over that model's, less 1.
    """

    loss: Estimate
    params: Estimate
    tokens: Estimate
    cost: Estimate
    serving_share: Estimate
    train_only_params: Estimate
    train_only_tokens: Estimate
    saving: Estimate
    extra_training: Estimate


def cheapest_served(
    law: SurfaceLike,
    demand: Demand,
    *,
    loss: float | None = None,
    training_flops: float | None = None,
) -> ServedOptimum:
    """The model that reaches a loss at the least cost of training and serving.

    Sardana et al. 2024, equation 3: min over N, D of 6 N D + 2 N D_inf with L(N, D) = loss. The
    optimum is where epsN / epsD = 1 + D_inf / (3 D), with epsN = alpha A / N^alpha and
    epsD = beta B / D^beta; without serving it is the optimum of Hoffmann et al. 2022.

    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> law = laws.Surface.of("chinchilla", CHINCHILLA.published["de-vries-2023"])
    >>> best = laws.cheapest_served(law, laws.Demand(1e13), training_flops=1e23)
    >>> f"{best.params.value:.2g} parameters instead of {best.train_only_params.value:.2g}"
    '7.3e+09 parameters instead of 1.9e+10'

    Args:
        law: a fit of approach 3, or a surface.
        demand: what is served, and what FLOPs cost.
        loss: the target, nats per token; or
        training_flops: the target is the loss of this budget when all of it goes into training.

    Raises:
        InputError: both or neither given, a loss at or below the floor, or a law of another shape.
    """
    surface = surface_of(law)
    if (loss is None) == (training_flops is None):
        raise InputError(
            f"loss {loss} and training_flops {training_flops}: exactly one of them sets the target "
            "loss; leave the other out"
        )
    if loss is not None:
        surface.require_reachable(loss)
        loss_R = np.full(len(surface.constants_RxP), float(loss))
    else:
        assert training_flops is not None
        require_positive("training_flops", training_flops, "give a budget in FLOPs")
        loss_R = surface.loss(*surface.training_optimum(training_flops))
    params_R, tokens_R = surface.at_loss(loss_R, _share_at_loss(surface, demand, loss_R))
    return _described(surface, demand, loss_R, params_R, tokens_R)


def best_served(law: SurfaceLike, demand: Demand, *, budget: float) -> ServedOptimum:
    """The model of the lowest loss whose training and serving together cost `budget`.

    The first-order condition is that of `cheapest_served`, now with 6 N D + 2 N D_inf = budget
    (in the unit of the demand's rates; FLOPs by default).

    >>> from scaling_jax import laws
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> law = laws.Surface.of("chinchilla", CHINCHILLA.published["de-vries-2023"])
    >>> best = laws.best_served(law, laws.Demand(1e13), budget=1e23)
    >>> f"{best.params.value:.2g} parameters, {best.tokens.value:.2g} tokens"
    '3e+09 parameters, 2.3e+12 tokens'

    Raises:
        InputError: a budget that is not positive, or a law of another shape.
    """
    surface = surface_of(law)
    require_positive("budget", budget, "give the cost of training and serving")
    if demand.cost_per_param == 0:
        params_R, tokens_R = surface.training_optimum(budget / demand.training.per_flop)
    else:
        params_R, tokens_R = _spent(surface, demand, budget)
    return _described(surface, demand, surface.loss(params_R, tokens_R), params_R, tokens_R)


def _share_at_loss(surface: Surface, demand: Demand, loss_R: np.ndarray) -> np.ndarray:
    """Logit of the share of A / N^alpha in the reducible loss at the first-order condition.

    The condition log(epsN / epsD) = log(1 + equivalent / D) rises in the logit with a slope of at
    least 1, so its value at one end bounds the distance to the root.
    """
    with np.errstate(all="ignore"):
        log_ratio_R = np.log(surface.alpha_R / surface.beta_R)
        log_delta_R = np.log(loss_R - surface.floor_R)
        # Served over trained tokens where D would carry the whole reducible loss.
        log_most_R = (
            np.log(demand.equivalent_tokens) + (log_delta_R - surface.log_b_R) / surface.beta_R
        )

    def condition(logit_R: np.ndarray) -> np.ndarray:
        log_served_R = softplus(log_most_R - softplus(logit_R) / surface.beta_R)
        excess_R: np.ndarray = log_ratio_R + logit_R - log_served_R
        return excess_R

    return increasing_root(condition, -log_ratio_R, -log_ratio_R + softplus(log_most_R))


def _spent(surface: Surface, demand: Demand, budget: float) -> tuple[np.ndarray, np.ndarray]:
    """N and D that spend the budget, by the logit v of the share that training gets.

    N = (1 - share) budget / serving cost per parameter and D = e^v equivalent tokens, so the
    condition epsN share = epsD rises in v with a slope of at least min(alpha, 1) + beta.
    """
    most_params = np.log(budget / demand.cost_per_param)
    least_tokens = np.log(demand.equivalent_tokens)
    with np.errstate(all="ignore"):
        log_ratio_R = np.log(surface.alpha_R / surface.beta_R) + surface.log_a_R - surface.log_b_R

    def condition(logit_R: np.ndarray) -> np.ndarray:
        log_params_R, log_tokens_R = most_params - softplus(logit_R), least_tokens + logit_R
        eps_ratio_R = log_ratio_R - surface.alpha_R * log_params_R + surface.beta_R * log_tokens_R
        excess_R: np.ndarray = eps_ratio_R - softplus(-logit_R)
        return excess_R

    with np.errstate(all="ignore"):
        reach_R = np.abs(condition(np.zeros_like(log_ratio_R)))
        reach_R = reach_R / (np.minimum(surface.alpha_R, 1) + surface.beta_R)
        logit_R = increasing_root(condition, -reach_R, reach_R)
        return np.exp(most_params - softplus(logit_R)), np.exp(least_tokens + logit_R)


def _described(
    surface: Surface,
    demand: Demand,
    loss_R: np.ndarray,
    params_R: np.ndarray,
    tokens_R: np.ndarray,
) -> ServedOptimum:
    per_param_token = FLOPS_PER_PARAM_TOKEN * demand.training.per_flop
    plain_params_R, plain_tokens_R = surface.cheapest_training(loss_R)
    with np.errstate(all="ignore"):
        serving_R = params_R * demand.cost_per_param
        cost_R = per_param_token * params_R * tokens_R + serving_R
        plain_R = plain_params_R * (per_param_token * plain_tokens_R + demand.cost_per_param)
        extra_R = params_R * tokens_R / (plain_params_R * plain_tokens_R) - 1
        saving_R, share_R = 1 - cost_R / plain_R, serving_R / cost_R
    estimate = surface.estimate
    return ServedOptimum(
        loss=estimate(loss_R),
        params=estimate(params_R),
        tokens=estimate(tokens_R),
        cost=estimate(cost_R),
        serving_share=estimate(share_R),
        train_only_params=estimate(plain_params_R),
        train_only_tokens=estimate(plain_tokens_R),
        saving=estimate(saving_R),
        extra_training=estimate(extra_R),
    )
