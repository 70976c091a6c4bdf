"""Sums of power-law terms as a model: closed-form derivatives and closed-form starts."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.solve import Data


@dataclass(frozen=True)
class TermSum:
    """Log-sum-exp of terms linear in `theta`; inputs are their gradients `u_NxKxP`."""

    def log_loss(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Log loss of every row."""
        return jax.nn.logsumexp(u_NxKxP @ theta_P, axis=-1)

    def slopes(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Gradient: the terms' gradients, averaged by their shares of the loss."""
        share_NxK = jax.nn.softmax(u_NxKxP @ theta_P, axis=-1)
        return jnp.einsum("nk,nkp->np", share_NxK, u_NxKxP)

    def bend(self, theta_P: jax.Array, u_NxKxP: jax.Array, weight_N: jax.Array) -> jax.Array:
        """Hessian: the covariance of the terms' gradients by their shares."""
        share_NxK = jax.nn.softmax(u_NxKxP @ theta_P, axis=-1)
        slope_NxP = jnp.einsum("nk,nkp->np", share_NxK, u_NxKxP)
        flat_NKxP = u_NxKxP.reshape(-1, u_NxKxP.shape[-1])
        second_PxP = (flat_NKxP * (weight_N[:, None] * share_NxK).reshape(-1, 1)).T @ flat_NKxP
        return second_PxP - (slope_NxP * weight_N[:, None]).T @ slope_NxP


@dataclass(frozen=True)
class PowerOfSum:
    """A `TermSum` raised to a power, whose logarithm is the last of `theta`, plus other terms.

    Inputs are those of a sum of all terms, with a last column of zeros for the power. The first
    `outside` terms are added after the power is taken.
    """

    outside: int = 0

    def log_loss(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Log loss of every row."""
        return jax.nn.logsumexp(self._parts(theta_P, u_NxKxP)[0], axis=-1)

    def slopes(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Gradient: the parts' gradients, averaged by their shares of the loss."""
        log_NxJ, slope_NxJxP = self._parts(theta_P, u_NxKxP)
        return jnp.einsum("nj,njp->np", jax.nn.softmax(log_NxJ, axis=-1), slope_NxJxP)

    def bend(self, theta_P: jax.Array, u_NxKxP: jax.Array, weight_N: jax.Array) -> jax.Array:
        """Hessian: the power's own by its share, and the covariance of the parts' gradients."""
        log_NxJ, slope_NxJxP = self._parts(theta_P, u_NxKxP)
        weight_NxJ = weight_N[:, None] * jax.nn.softmax(log_NxJ, axis=-1)
        mean_NxP = self.slopes(theta_P, u_NxKxP)
        second_PxP = jnp.einsum("nj,njp,njq->pq", weight_NxJ, slope_NxJxP, slope_NxJxP)
        spread_PxP = second_PxP - (mean_NxP * weight_N[:, None]).T @ mean_NxP
        return spread_PxP + self._power_bend(theta_P, u_NxKxP, weight_NxJ[:, -1])

    def _parts(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Logarithms and gradients of the terms outside, then of the power."""
        outside_NxKxP, inside_NxKxP = u_NxKxP[:, : self.outside], u_NxKxP[:, self.outside :]
        power = jnp.exp(theta_P[-1])
        log_N = power * TermSum().log_loss(theta_P, inside_NxKxP)
        slope_NxP = (power * TermSum().slopes(theta_P, inside_NxKxP)).at[:, -1].set(log_N)
        log_NxJ = jnp.concatenate([outside_NxKxP @ theta_P, log_N[:, None]], axis=1)
        return log_NxJ, jnp.concatenate([outside_NxKxP, slope_NxP[:, None]], axis=1)

    def _power_bend(self, theta_P: jax.Array, u_NxKxP: jax.Array, weight_N: jax.Array) -> jax.Array:
        inside_NxKxP = u_NxKxP[:, self.outside :]
        inner_PxP = jnp.exp(theta_P[-1]) * TermSum().bend(theta_P, inside_NxKxP, weight_N)
        border_P = weight_N @ self._parts(theta_P, u_NxKxP)[1][:, -1]
        return inner_PxP.at[-1, :].set(border_P).at[:, -1].set(border_P)


@partial(jax.jit, static_argnames=("n_terms", "outer", "outside"))
def closed_form_starts(
    grid_SxQ: jax.Array,
    data: Data,
    *,
    n_terms: int,
    outer: bool = False,
    outside: int = 0,
    floor_S: jax.Array | None = None,
) -> jax.Array:
    """Starts `theta_SxP` from exponents: the coefficients solve least squares of relative errors.

    Every subset of terms is solved for, and the best one whose coefficients are all positive is
    kept; terms left out start at a thousandth of the mean loss. With an outer power, the last of
    each row of the grid is its logarithm, and the sum is fitted to the loss without it, less
    the start's `floor_S`, which the terms outside share.
    """
    u_NxKxP = data.inputs[:, outside:]
    subsets_MxK = jnp.asarray(_subsets(n_terms - outside))
    floor_S = jnp.zeros(len(grid_SxQ)) if floor_S is None else floor_S

    def start(exponents_Q: jax.Array, floor: jax.Array) -> jax.Array:
        above_N = jnp.log(jnp.exp(data.y_N) - floor)
        loss_N = jnp.exp(above_N / jnp.exp(exponents_Q[-1]) if outer else above_N)
        zeros_K = jnp.zeros(n_terms)
        log_terms_NxK = u_NxKxP @ jnp.concatenate([zeros_K, exponents_Q])
        # Columns are brought to unit size, or exponents far from zero would overflow the solve.
        top_K = log_terms_NxK.max(axis=0)
        x_NxK = jnp.exp(log_terms_NxK - top_K) / loss_N[:, None]
        gram_KxK = (x_NxK * data.w_N[:, None]).T @ x_NxK
        aim_K = data.w_N @ x_NxK

        def subset(mask_K: jax.Array) -> tuple[jax.Array, jax.Array]:
            kept_KxK = gram_KxK * mask_K[:, None] * mask_K
            ridge_KxK = jnp.diag(1 - mask_K + 1e-12 * jnp.diag(gram_KxK))
            c_K = jnp.linalg.solve(kept_KxK + ridge_KxK, aim_K * mask_K) * mask_K
            rss = c_K @ gram_KxK @ c_K - 2 * aim_K @ c_K
            return c_K, jnp.where((c_K >= 0).all() & jnp.isfinite(rss), rss, jnp.inf)

        c_MxK, rss_M = jax.vmap(subset)(subsets_MxK)
        c_K = jnp.log(jnp.maximum(c_MxK[jnp.argmin(rss_M)], 1e-3 * loss_N.mean()))
        floors = jnp.full(outside, jnp.log(floor / max(outside, 1)))
        return jnp.concatenate([floors, c_K - top_K, exponents_Q])

    return jax.vmap(start)(grid_SxQ, floor_S)


def _subsets(n_terms: int) -> np.ndarray:
    masks = np.arange(1, 2**n_terms)[:, None] >> np.arange(n_terms) & 1
    return masks.astype(np.float64)
