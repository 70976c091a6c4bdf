"""Sums of power-law terms as the solver's models: closed-form derivatives.

The logarithm of a sum of terms `exp(u_k . theta)` is a log-sum-exp. Its gradient is the mean of
the `u_k`, weighted by the terms' shares of the sum, and its Hessian their covariance, so no
automatic differentiation is needed: this is 3 to 7 times faster than `autodiff`.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.solver.model import Derivatives, RowWeights, from_row_gradients

# From so many rows on, derivatives are summed over blocks of rows, which limits their memory.
_BLOCKS_FROM, _BLOCK = 1 << 16, 1 << 14


@dataclass(frozen=True)
class TermSum:
    """Log-sum-exp of terms linear in `theta`; inputs are their gradients `u_NxKxP`."""

    def log_loss(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Log loss of every row."""
        return _log_sum(theta_P, u_NxKxP)[0]

    def derivatives(
        self, theta_P: jax.Array, u_NxKxP: jax.Array, weights: RowWeights
    ) -> Derivatives:
        """Weighted sums of derivatives, over blocks of rows where there are many."""
        n_rows, _, n = u_NxKxP.shape
        if n_rows <= _BLOCKS_FROM:
            return _sums(theta_P, u_NxKxP, weights)
        extra = -n_rows % _BLOCK

        def blocks(x_N: jax.Array) -> jax.Array:
            padding = ((0, extra), *((0, 0) for _ in x_N.shape[1:]))
            return jnp.pad(x_N, padding).reshape(-1, _BLOCK, *x_N.shape[1:])

        def add(
            total: Derivatives, block: tuple[jax.Array, RowWeights]
        ) -> tuple[Derivatives, None]:
            return jax.tree.map(jnp.add, total, _sums(theta_P, *block)), None

        none = Derivatives(jnp.zeros(n), jnp.zeros((n, n)), jnp.zeros((n, n)))
        total: Derivatives = jax.lax.scan(
            add, none, (blocks(u_NxKxP), jax.tree.map(blocks, weights))
        )[0]
        return total

    def row_gradients(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Gradients of the rows, `NxP`: their terms' gradients, averaged by shares of the loss."""
        return jnp.einsum("kn,nkp->np", _log_sum(theta_P, u_NxKxP)[1], u_NxKxP)


def _sums(theta_P: jax.Array, u_NxKxP: jax.Array, weights: RowWeights) -> Derivatives:
    """Weighted sums of derivatives, as one product with what does not depend on `theta`.

    A row's gradient is the mean of its terms' by their shares of the loss, and its Hessian
    their covariance, so both are sums over pairs of terms of shares times fixed matrices.
    """
    _, n_terms, n = u_NxKxP.shape
    gradient_N, outer_N, gauss_newton_N = weights
    share_KxN = _log_sum(theta_P, u_NxKxP)[1]
    first, second = np.triu_indices(n_terms)
    pair_JxN = share_KxN[first] * share_KxN[second]
    alone_JxN = jnp.where((first == second)[:, None], share_KxN[first], 0)
    weights_2xJxN = jnp.stack(
        [(outer_N - gradient_N) * pair_JxN + gradient_N * alone_JxN, gauss_newton_N * pair_JxN]
    )
    rows, columns = np.tril_indices(n)
    upper = u_NxKxP[:, first][..., rows] * u_NxKxP[:, second][..., columns]
    lower = u_NxKxP[:, second][..., rows] * u_NxKxP[:, first][..., columns]
    fixed_NxJxT = jnp.where((first == second)[:, None], upper, upper + lower)
    hessian_T, gauss_newton_T = jnp.einsum("mjn,njt->mt", weights_2xJxN, fixed_NxJxT)
    return Derivatives(
        jnp.einsum("kn,nkp->p", gradient_N * share_KxN, u_NxKxP),
        _symmetric(hessian_T, n),
        _symmetric(gauss_newton_T, n),
    )


def _log_sum(theta_P: jax.Array, u_NxKxP: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logarithm of the sum of the terms in every row, and the terms' shares of it, `KxN`."""
    log_KxN = jnp.einsum("nkp,p->kn", u_NxKxP, theta_P)
    top_N = log_KxN.max(axis=0)
    part_KxN = jnp.exp(log_KxN - top_N)
    total_N = part_KxN.sum(axis=0)
    return top_N + jnp.log(total_N), part_KxN / total_N


def _symmetric(lower_T: jax.Array, n: int) -> jax.Array:
    """The matrix whose lower triangle, row by row, is given."""
    rows, columns = (indices.tolist() for indices in np.tril_indices(n))
    at = {pair: t for t, pair in enumerate(zip(rows, columns, strict=True))}
    entries = [lower_T[at[max(i, j), min(i, j)]] for i in range(n) for j in range(n)]
    return jnp.stack(entries).reshape(n, n)


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

    def derivatives(
        self, theta_P: jax.Array, u_NxKxP: jax.Array, weights: RowWeights
    ) -> Derivatives:
        """Weighted sums of derivatives."""
        log_NxJ, gradient_NxJxP = self._parts(theta_P, u_NxKxP)
        share_NxJ = jax.nn.softmax(log_NxJ, axis=-1)
        gradient_NxP = jnp.einsum("nj,njp->np", share_NxJ, gradient_NxJxP)
        weight_NxJ = weights.gradient_N[:, None] * share_NxJ
        second_PxP = jnp.einsum("nj,njp,njq->pq", weight_NxJ, gradient_NxJxP, gradient_NxJxP)
        covariance_PxP = second_PxP - (gradient_NxP * weights.gradient_N[:, None]).T @ gradient_NxP
        hessian_PxP = covariance_PxP + self._power_hessian(theta_P, u_NxKxP, weight_NxJ[:, -1])
        return from_row_gradients(gradient_NxP, hessian_PxP, weights)

    def _parts(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Logarithms and gradients of the terms outside, then of the power."""
        outside_NxKxP, inside_NxKxP = u_NxKxP[:, : self.outside], u_NxKxP[:, self.outside :]
        power = jnp.exp(theta_P[-1])
        log_N = power * TermSum().log_loss(theta_P, inside_NxKxP)
        gradient_NxP = (power * TermSum().row_gradients(theta_P, inside_NxKxP)).at[:, -1].set(log_N)
        log_NxJ = jnp.concatenate([outside_NxKxP @ theta_P, log_N[:, None]], axis=1)
        return log_NxJ, jnp.concatenate([outside_NxKxP, gradient_NxP[:, None]], axis=1)

    def _power_hessian(
        self, theta_P: jax.Array, u_NxKxP: jax.Array, weight_N: jax.Array
    ) -> jax.Array:
        inside_NxKxP = u_NxKxP[:, self.outside :]
        none_N = jnp.zeros_like(weight_N)
        inner = TermSum().derivatives(theta_P, inside_NxKxP, RowWeights(weight_N, none_N, none_N))
        inner_PxP = jnp.exp(theta_P[-1]) * inner.hessian_PxP
        border_P = weight_N @ self._parts(theta_P, u_NxKxP)[1][:, -1]
        return inner_PxP.at[-1, :].set(border_P).at[:, -1].set(border_P)
