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
    """A `TermSum` raised to a power, whose logarithm is the last of `theta`.

    Inputs are those of the sum, with a last column of zeros for the power.
    """

    def log_loss(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Log loss of every row: the power times the sum's logarithm."""
        return jnp.exp(theta_P[-1]) * TermSum().log_loss(theta_P, u_NxKxP)

    def slopes(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """The sum's gradient times the power; in the power's logarithm, the log loss itself."""
        slope_NxP = TermSum().slopes(theta_P, u_NxKxP)
        return jnp.exp(theta_P[-1]) * slope_NxP.at[:, -1].set(TermSum().log_loss(theta_P, u_NxKxP))

    def bend(self, theta_P: jax.Array, u_NxKxP: jax.Array, weight_N: jax.Array) -> jax.Array:
        """Hessian: the sum's, bordered by the gradient in the power's logarithm."""
        border_P = weight_N @ self.slopes(theta_P, u_NxKxP)
        inner_PxP = jnp.exp(theta_P[-1]) * TermSum().bend(theta_P, u_NxKxP, weight_N)
        return inner_PxP.at[-1, :].set(border_P).at[:, -1].set(border_P)


@partial(jax.jit, static_argnames=("n_terms", "outer"))
def closed_form_starts(
    grid_SxQ: jax.Array, data: Data, *, n_terms: int, outer: bool = False
) -> jax.Array:
    """Starts `theta_SxP` from exponents: the coefficients solve least squares of relative errors.

    Every subset of terms is solved for, and the best one whose coefficients are all positive is
    kept; terms left out start at a thousandth of the mean loss. With an outer power, the last of
    each row of the grid is its logarithm, and the sum is fitted to the loss without it.
    """
    u_NxKxP = data.inputs
    subsets_MxK = jnp.asarray(_subsets(n_terms))

    def start(exponents_Q: jax.Array) -> jax.Array:
        loss_N = jnp.exp(data.y_N / jnp.exp(exponents_Q[-1]) if outer else data.y_N)
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
        return jnp.concatenate([c_K - top_K, exponents_Q])

    return jax.vmap(start)(grid_SxQ)


def _subsets(n_terms: int) -> np.ndarray:
    masks = np.arange(1, 2**n_terms)[:, None] >> np.arange(n_terms) & 1
    return masks.astype(np.float64)
