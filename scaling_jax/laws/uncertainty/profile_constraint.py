"""Fits with one quantity constrained to a value, which profiles are made of."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.laws.catalogue.power_sum import PowerSum
from scaling_jax.laws.solver.model import Derivatives, Model, RowWeights, from_row_gradients


class Inputs(NamedTuple):
    """The model's inputs per row, and the point where the quantity is taken, in centred logs."""

    rows: Any
    point: jax.Array


@dataclass(frozen=True)
class Quantity:
    """A function of `theta` that a profile follows.

    Attributes:
        kind: `linear` for a constant, an exponent of the frontier (`a`, `b`), `params`, `tokens`
            or `frontier_loss` at a budget, or `loss` at a size and tokens.
        law: a law with a frontier; None for a constant, so that the constants of all laws share
            one compiled program.
        power: p of C = k N^p D.
    """

    kind: str
    law: PowerSum | None = None
    power: float = 1.0

    def __call__(self, theta_P: jax.Array, point: jax.Array) -> jax.Array:
        """The quantity, in logs where it is positive."""
        if self.law is None:
            # A coefficient's logarithm about the centre, moved back to the variables' own units,
            # is a sum of `theta` and exponents, so every constant is linear in `theta`.
            return theta_P @ point
        if self.kind == "loss":
            return self._log_loss(theta_P, point[0], point[1])
        alpha, beta, log_a, log_b = (theta_P[self.law.names.index(n)] for n in self._frontier)
        if self.kind in ("a", "b"):
            return (beta if self.kind == "a" else alpha) / (alpha + self.power * beta)
        # Hoffmann et al. 2022, equation 4: in centred logs p x + y is what is left of log(C / k).
        p_beta = self.power * beta
        log_g = (jnp.log(alpha / p_beta) + log_a - log_b) / (alpha + p_beta)
        x = log_g + beta / (alpha + p_beta) * point[0]
        y = -self.power * log_g + alpha / (alpha + p_beta) * point[0]
        if self.kind == "frontier_loss":
            return self._log_loss(theta_P, x, y)
        return x if self.kind == "params" else y

    @property
    def _frontier(self) -> tuple[str, str, str, str]:
        assert self.law is not None
        assert self.law.frontier is not None
        return self.law.frontier

    def _log_loss(self, theta_P: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        assert self.law is not None
        names, alpha_beta = self.law.names, self._frontier[:2]
        logs = []
        for k, term in enumerate(self.law.terms):
            at = {"params": (alpha_beta[0], x), "tokens": (alpha_beta[1], y)}
            powers = [theta_P[names.index(at[v][0])] * at[v][1] for v in term.powers]
            logs.append(theta_P[k] - sum(powers, jnp.zeros(())))
        outer = jnp.exp(theta_P[-1]) if self.law.outer else 1.0
        return outer * jax.nn.logsumexp(jnp.stack(logs))


@dataclass(frozen=True)
class ConstrainedModel:
    """A model with one more row: the quantity itself, which a large weight holds at a target.

    The same solver then minimizes under the constraint, as a penalty of its residual.
    """

    model: Model
    quantity: Quantity

    def log_loss(self, theta_P: jax.Array, inputs: Inputs) -> jax.Array:
        """Log loss of every row, then the quantity."""
        rows_N = self.model.log_loss(theta_P, inputs.rows)
        return jnp.append(rows_N, self.quantity(theta_P, inputs.point))

    def derivatives(self, theta_P: jax.Array, inputs: Inputs, weights: RowWeights) -> Derivatives:
        """Weighted sums of derivatives over the rows, and the quantity's own."""
        rows = RowWeights(*(weight_N[:-1] for weight_N in weights))
        last = RowWeights(*(weight_N[-1:] for weight_N in weights))
        gradient_P = jax.grad(self.quantity)(theta_P, inputs.point)
        hessian_PxP = jax.hessian(self.quantity)(theta_P, inputs.point)
        added: Derivatives = jax.tree.map(
            jnp.add,
            self.model.derivatives(theta_P, inputs.rows, rows),
            from_row_gradients(gradient_P[None], last.gradient_N[0] * hessian_PxP, last),
        )
        return added
