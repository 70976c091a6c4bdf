"""Fits with a derived quantity pulled to a value: what profiles are made of."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.laws.catalogue import PowerSum, power_sum_named
from scaling_jax.laws.solver.model import Derivatives, Model, RowWeights, from_slopes


class Inputs(NamedTuple):
    """The model's inputs, and what the quantity is asked at, in centred logs."""

    rows: Any
    asked: jax.Array


@dataclass(frozen=True)
class Quantity:
    """A function of `theta` that a profile follows.

    Attributes:
        kind: `linear` for a constant, an exponent of the frontier (`a`, `b`), `params`, `tokens`
            or `frontier_loss` at a budget, or `loss` at a size and tokens.
        law: the form's name.
    """

    kind: str
    law: str

    @property
    def form(self) -> PowerSum:
        """The law."""
        return power_sum_named(self.law)

    def __call__(self, theta_P: jax.Array, asked: jax.Array) -> jax.Array:
        """The quantity, in logs where it is positive; `asked` holds what `asking` made."""
        names = self.form.names
        if self.kind == "linear":
            # All constants are one program so: a coefficient's logarithm about the centre, moved
            # back to the variables' own units, is a sum of it and exponents.
            return theta_P @ asked
        if self.kind == "loss":
            return self._log_loss(theta_P, asked[0], asked[1])
        alpha, beta, log_a, log_b = (theta_P[names.index(n)] for n in self._frontier)
        if self.kind in ("a", "b"):
            return (beta if self.kind == "a" else alpha) / (alpha + beta)
        # In centred logs x + y is what is left of log(C / 6).
        log_g = (jnp.log(alpha / beta) + log_a - log_b) / (alpha + beta)
        x = log_g + beta / (alpha + beta) * asked[0]
        y = -log_g + alpha / (alpha + beta) * asked[0]
        if self.kind == "frontier_loss":
            return self._log_loss(theta_P, x, y)
        return x if self.kind == "params" else y

    @property
    def _frontier(self) -> tuple[str, str, str, str]:
        assert self.form.frontier is not None
        return self.form.frontier

    def _log_loss(self, theta_P: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
        names, alpha_beta = self.form.names, self._frontier[:2]
        logs = []
        for k, term in enumerate(self.form.terms):
            at = {"params": (alpha_beta[0], x), "tokens": (alpha_beta[1], y)}
            slopes = [theta_P[names.index(at[v][0])] * at[v][1] for v in term.powers]
            logs.append(theta_P[k] - sum(slopes, jnp.zeros(())))
        outer = jnp.exp(theta_P[-1]) if self.form.outer else 1.0
        return outer * jax.nn.logsumexp(jnp.stack(logs))


@dataclass(frozen=True)
class Tethered:
    """A model with one more row: the quantity itself, to be pulled to a target by its weight."""

    model: Model
    quantity: Quantity

    def log_loss(self, theta_P: jax.Array, inputs: Inputs) -> jax.Array:
        """Log loss of every row, then the quantity."""
        rows_N = self.model.log_loss(theta_P, inputs.rows)
        return jnp.append(rows_N, self.quantity(theta_P, inputs.asked))

    def derivatives(self, theta_P: jax.Array, inputs: Inputs, weights: RowWeights) -> Derivatives:
        """Weighted sums of derivatives over the rows, and the quantity's own."""
        rows = RowWeights(*(weight_N[:-1] for weight_N in weights))
        last = RowWeights(*(weight_N[-1:] for weight_N in weights))
        slope_P = jax.grad(self.quantity)(theta_P, inputs.asked)
        bend_PxP = jax.hessian(self.quantity)(theta_P, inputs.asked)
        return jax.tree.map(
            jnp.add,
            self.model.derivatives(theta_P, inputs.rows, rows),
            from_slopes(slope_P[None], last.pull_N[0] * bend_PxP, last),
        )
