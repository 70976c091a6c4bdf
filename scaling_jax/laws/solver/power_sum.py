"""Sums of power-law terms as a model: closed-form derivatives and closed-form starts."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.solver.linear import solve_positive
from scaling_jax.laws.solver.model import Derivatives, RowWeights, from_slopes
from scaling_jax.laws.solver.newton import Data


@dataclass(frozen=True)
class TermSum:
    """Log-sum-exp of terms linear in `theta`; inputs are their gradients `u_NxKxP`."""

    def log_loss(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Log loss of every row."""
        return _log_sum(theta_P, u_NxKxP)[0]

    def derivatives(
        self, theta_P: jax.Array, u_NxKxP: jax.Array, weights: RowWeights
    ) -> Derivatives:
        """Weighted sums of derivatives, as one product with what does not depend on `theta`.

        A row's gradient is the mean of its terms' by their shares of the loss, and its Hessian
        their covariance, so both are sums over pairs of terms of shares times fixed matrices.
        """
        _, n_terms, n = u_NxKxP.shape
        pull_N, stiff_N, bound_N = weights
        share_KxN = _log_sum(theta_P, u_NxKxP)[1]
        first, second = np.triu_indices(n_terms)
        pair_JxN = share_KxN[first] * share_KxN[second]
        alone_JxN = jnp.where((first == second)[:, None], share_KxN[first], 0)
        weights_2xJxN = jnp.stack(
            [(stiff_N - pull_N) * pair_JxN + pull_N * alone_JxN, bound_N * pair_JxN]
        )
        rows, columns = np.tril_indices(n)
        upper = u_NxKxP[:, first][..., rows] * u_NxKxP[:, second][..., columns]
        lower = u_NxKxP[:, second][..., rows] * u_NxKxP[:, first][..., columns]
        fixed_NxJxT = jnp.where((first == second)[:, None], upper, upper + lower)
        exact_T, gauss_T = jnp.einsum("mjn,njt->mt", weights_2xJxN, fixed_NxJxT)
        return Derivatives(
            jnp.einsum("kn,nkp->p", pull_N * share_KxN, u_NxKxP),
            _symmetric(exact_T, n),
            _symmetric(gauss_T, n),
        )

    def slopes(self, theta_P: jax.Array, u_NxKxP: jax.Array) -> jax.Array:
        """Gradients of the rows, `NxP`: their terms' gradients, averaged by shares of the loss."""
        return jnp.einsum("kn,nkp->np", _log_sum(theta_P, u_NxKxP)[1], u_NxKxP)


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
        log_NxJ, slope_NxJxP = self._parts(theta_P, u_NxKxP)
        share_NxJ = jax.nn.softmax(log_NxJ, axis=-1)
        slope_NxP = jnp.einsum("nj,njp->np", share_NxJ, slope_NxJxP)
        pull_NxJ = weights.pull_N[:, None] * share_NxJ
        second_PxP = jnp.einsum("nj,njp,njq->pq", pull_NxJ, slope_NxJxP, slope_NxJxP)
        spread_PxP = second_PxP - (slope_NxP * weights.pull_N[:, None]).T @ slope_NxP
        bend_PxP = spread_PxP + self._power_bend(theta_P, u_NxKxP, pull_NxJ[:, -1])
        return from_slopes(slope_NxP, bend_PxP, weights)

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
        none_N = jnp.zeros_like(weight_N)
        inner = TermSum().derivatives(theta_P, inside_NxKxP, RowWeights(weight_N, none_N, none_N))
        inner_PxP = jnp.exp(theta_P[-1]) * inner.exact_PxP
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
    u_KxNxP = jnp.swapaxes(data.inputs[:, outside:], 0, 1)
    subsets_MxK = jnp.asarray(_subsets(n_terms - outside))
    floor_S = jnp.zeros(len(grid_SxQ)) if floor_S is None else floor_S

    def start(exponents_Q: jax.Array, floor: jax.Array) -> jax.Array:
        loss_N = jnp.exp(data.y_N)
        if outer:
            loss_N = jnp.exp(jnp.log(loss_N - floor) / jnp.exp(exponents_Q[-1]))
        log_terms_KxN = u_KxNxP @ jnp.concatenate([jnp.zeros(n_terms), exponents_Q])
        # Columns are brought to unit size, or exponents far from zero would overflow the solve.
        top_K = log_terms_KxN.max(axis=1)
        x_KxN = jnp.exp(log_terms_KxN - top_K[:, None]) / loss_N
        gram_KxK = (x_KxN * data.w_N) @ x_KxN.T
        aim_K = x_KxN @ data.w_N

        def subset(mask_K: jax.Array) -> tuple[jax.Array, jax.Array]:
            kept_KxK = gram_KxK * mask_K[:, None] * mask_K
            ridge_KxK = jnp.diag(1 - mask_K + 1e-12 * jnp.diag(gram_KxK))
            c_K = solve_positive(kept_KxK + ridge_KxK, aim_K * mask_K) * mask_K
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
