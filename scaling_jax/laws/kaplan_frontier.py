"""The compute-optimal frontier under L(N, S_min) and B_crit(L), in closed form.

Kaplan et al. 2020 (arXiv 2001.08361): training to a loss at batches far below critical takes the
least compute, `C_min = 6 N E_min = 6 N B_crit(L) S_min`. With equations 1.6 and 5.3, appendix B
finds the size that reaches a loss with the least C_min: it stops at `1 + alpha_N / alpha_S` times
its converged loss.
"""

from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import KAPLAN_CRITICAL_BATCH, KAPLAN_PARAMS_STEPS
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN


@dataclass(frozen=True)
class KaplanOptimum:
    """The run that reaches the lowest loss with a given C_min.

    Attributes:
        flops_min: C_min, FLOPs at batches far below critical.
        loss: nats per token.
        params: N.
        steps_min: S_min, steps at batches far above critical.
        critical_batch: in tokens, at this loss. At it, training takes twice `steps_min` and
            `tokens_min`.
        tokens_min: E_min, tokens at batches far below critical.
    """

    flops_min: float
    loss: float
    params: float
    steps_min: float
    critical_batch: float
    tokens_min: float


@dataclass(frozen=True)
class KaplanFrontier:
    """`L = A / N^alpha_N + B / S_min^alpha_S` and `B_crit = B_star L^-inverse_alpha_B`.

    >>> frontier = KaplanFrontier.published()
    >>> f"{frontier.at(1e21).params:.2g}", f"{frontier.exponents['params']:.2f}"
    ('3.1e+09', '0.68')

    Attributes:
        A, alpha_N: `N_c^alpha_N` and its exponent.
        B, alpha_S: `S_c^alpha_S` and its exponent.
        B_star: critical batch in tokens at a loss of 1.
        inverse_alpha_B: `1 / alpha_B`.

    Raises:
        InputError: a constant that is not positive; a critical batch may be the same at all losses.
    """

    A: float
    alpha_N: float
    B: float
    alpha_S: float
    B_star: float
    inverse_alpha_B: float

    def __post_init__(self) -> None:
        for name in ("A", "alpha_N", "B", "alpha_S", "B_star"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(
                    f"{name} {getattr(self, name):g} must be positive and finite: the loss falls "
                    "with size and steps"
                )
        if not 0 <= self.inverse_alpha_B < np.inf:
            raise InputError(
                f"inverse_alpha_B {self.inverse_alpha_B:g} must not be negative: the critical "
                "batch grows as the loss falls"
            )

    @classmethod
    def published(cls) -> "KaplanFrontier":
        """The constants of Kaplan et al. 2020, Table 3 and equation 5.3; N has no embeddings."""
        table_3 = KAPLAN_PARAMS_STEPS.published["kaplan-2020"]
        return cls(**table_3, **KAPLAN_CRITICAL_BATCH.published["kaplan-2020"])

    @property
    def exponents(self) -> dict[str, float]:
        """Powers of C_min: `loss` (falling), `params`, `batch`, `steps` and `tokens`."""
        of_loss = 1 / (1 / self.alpha_N + 1 / self.alpha_S + self.inverse_alpha_B)
        of_params = of_loss / self.alpha_N
        return {
            "loss": of_loss,
            "params": of_params,
            "batch": of_loss * self.inverse_alpha_B,
            "steps": of_loss / self.alpha_S,
            "tokens": 1 - of_params,
        }

    @property
    def excess(self) -> float:
        """Share above its converged loss at which the best size stops, `alpha_N / alpha_S`."""
        return self.alpha_N / self.alpha_S

    def loss(self, params: float, steps_min: float) -> float:
        """Nats per token of a size after `steps_min` steps far above the critical batch."""
        return float(self.A / params**self.alpha_N + self.B / steps_min**self.alpha_S)

    def critical_batch(self, loss: float) -> float:
        """In tokens."""
        return float(self.B_star * loss**-self.inverse_alpha_B)

    def at(self, flops_min: float) -> KaplanOptimum:
        """The best run of a budget C_min, in FLOPs.

        Raises:
            InputError: a budget that is not positive and finite.
        """
        if not 0 < flops_min < np.inf:
            raise InputError(f"flops_min {flops_min} must be positive and finite: give FLOPs")
        at_one = self._to(1.0)
        return self._to((at_one.flops_min / flops_min) ** self.exponents["loss"])

    def _to(self, loss: float) -> KaplanOptimum:
        """The run that reaches a loss with the least C_min."""
        share = 1 + self.excess
        params = (self.A * share / loss) ** (1 / self.alpha_N)
        steps = (self.B * share / (self.excess * loss)) ** (1 / self.alpha_S)
        batch = self.critical_batch(loss)
        flops = FLOPS_PER_PARAM_TOKEN * params * batch * steps
        return KaplanOptimum(flops, loss, params, steps, batch, batch * steps)
