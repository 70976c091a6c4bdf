"""The optimum of a robust fit of a sum of power laws, from many starts in one program.

The objective is the weighted sum of Huber losses of `log predicted - log measured`. With the
logarithm of every term linear in `theta`, gradient and Hessian are exact and cheap, so each
lane takes damped second-order steps: of the exact Hessian where that is positive definite,
of the iteratively reweighted Gauss-Newton matrix otherwise, whichever lowers the objective
more. A small Huber delta makes the objective nearly a sum of absolute values, on which
line-search quasi-Newton methods stall far from the optimum (Besiroglu et al. 2024,
arXiv 2404.10102, on the fit of Hoffmann et al. 2022).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MAX_STEPS = 200
_FIRST_DAMPING = 1e-3
_LEAST_DAMPING = 1e-12
_MOST_DAMPING = 1e12
_RELATIVE_DECREASE = 1e-14


class Data(NamedTuple):
    """Rows of one fit: term gradients `u_NxKxP`, log losses `y_N`, weights `w_N`."""

    u_NxKxP: jax.Array
    y_N: jax.Array
    w_N: jax.Array


class Optimum(NamedTuple):
    """Where a lane ended: `theta_P`, the objective, and the Newton decrement `g' H^-1 g`."""

    theta_P: jax.Array
    value: jax.Array
    decrement: jax.Array


class _Lane(NamedTuple):
    theta_P: jax.Array
    value: jax.Array
    damping: jax.Array
    decrement: jax.Array
    stalled: jax.Array
    steps: jax.Array


def residuals(theta_P: jax.Array, data: Data) -> jax.Array:
    """`log predicted - log measured` of every row."""
    return jax.nn.logsumexp(data.u_NxKxP @ theta_P, axis=-1) - data.y_N


def huber(r: jax.Array, delta: float) -> jax.Array:
    """Huber's loss: `r^2 / 2` up to `delta`, then linear."""
    small = jnp.minimum(jnp.abs(r), delta)
    return small * (jnp.abs(r) - 0.5 * small)


def objective(theta_P: jax.Array, data: Data, delta: float) -> jax.Array:
    """Weighted sum of Huber losses of the log residuals."""
    return jnp.sum(data.w_N * huber(residuals(theta_P, data), delta))


def derivatives(
    theta_P: jax.Array, data: Data, delta: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gradient `g_P`, exact Hessian and reweighted Gauss-Newton matrix `PxP` of the objective."""
    logits_NxK = data.u_NxKxP @ theta_P
    share_NxK = jax.nn.softmax(logits_NxK, axis=-1)
    r_N = jax.nn.logsumexp(logits_NxK, axis=-1) - data.y_N
    slope_NxP = jnp.einsum("nk,nkp->np", share_NxK, data.u_NxKxP)
    psi_N = data.w_N * jnp.clip(r_N, -delta, delta)
    inside_N = data.w_N * (jnp.abs(r_N) <= delta)
    reweighted_N = data.w_N * jnp.minimum(1.0, delta / jnp.maximum(jnp.abs(r_N), delta))
    gradient_P = psi_N @ slope_NxP
    gauss_PxP = (slope_NxP * reweighted_N[:, None]).T @ slope_NxP
    # The Hessian of a log-sum-exp is the covariance of its terms' gradients.
    flat_NKxP = data.u_NxKxP.reshape(-1, data.u_NxKxP.shape[-1])
    spread_PxP = (flat_NKxP * (psi_N[:, None] * share_NxK).reshape(-1, 1)).T @ flat_NKxP
    exact_PxP = spread_PxP + (slope_NxP * (inside_N - psi_N)[:, None]).T @ slope_NxP
    return gradient_P, exact_PxP, gauss_PxP


def _solve_positive(matrix_PxP: jax.Array, vector_P: jax.Array) -> jax.Array:
    """Solution of the system, NaN where the matrix is not positive definite."""
    factor = jnp.linalg.cholesky(matrix_PxP)
    half = jax.scipy.linalg.solve_triangular(factor, vector_P, lower=True)
    return jax.scipy.linalg.solve_triangular(factor.T, half, lower=False)


def _step(lane: _Lane, data: Data, delta: float) -> _Lane:
    g_P, exact_PxP, gauss_PxP = derivatives(lane.theta_P, data, delta)
    scale_P = jnp.diag(gauss_PxP) + 1e-12 * jnp.trace(gauss_PxP) + 1e-300
    ridge_PxP = lane.damping * jnp.diag(scale_P)
    moves = [-_solve_positive(m + ridge_PxP, g_P) for m in (exact_PxP, gauss_PxP)]
    candidates_2xP = lane.theta_P + jnp.stack(moves)
    values_2 = jax.vmap(lambda theta: objective(theta, data, delta))(candidates_2xP)
    values_2 = jnp.where(jnp.isfinite(values_2), values_2, jnp.inf)
    best = jnp.argmin(values_2)
    better = values_2[best] < lane.value
    decrement = jnp.where(jnp.isfinite(moves[0]).all(), -g_P @ moves[0], -g_P @ moves[1])
    little = lane.value - values_2[best] <= _RELATIVE_DECREASE * lane.value
    damping = jnp.where(better, lane.damping * 0.1, lane.damping * 8)
    return _Lane(
        theta_P=jnp.where(better, candidates_2xP[best], lane.theta_P),
        value=jnp.where(better, values_2[best], lane.value),
        damping=jnp.clip(damping, _LEAST_DAMPING, None),
        decrement=decrement,
        # An improvement in the last digit only, twice in a row, is the end of double precision.
        stalled=jnp.where(better & little, lane.stalled + 1, jnp.where(better, 0, lane.stalled)),
        steps=lane.steps + 1,
    )


def _descend(theta_P: jax.Array, data: Data, delta: float, max_steps: jax.Array) -> Optimum:
    def go_on(lane: _Lane) -> jax.Array:
        moving = (lane.stalled < 2) & (lane.damping < _MOST_DAMPING)
        far = lane.decrement > 1e-16 * lane.value
        return moving & far & (lane.steps < max_steps) & jnp.isfinite(lane.value)

    start = _Lane(
        theta_P=theta_P,
        value=objective(theta_P, data, delta),
        damping=jnp.asarray(_FIRST_DAMPING, theta_P.dtype),
        decrement=jnp.asarray(jnp.inf, theta_P.dtype),
        stalled=jnp.int32(0),
        steps=jnp.int32(0),
    )
    end = jax.lax.while_loop(go_on, lambda lane: _step(lane, data, delta), start)
    return Optimum(end.theta_P, end.value, end.decrement)


@partial(jax.jit, static_argnames=("delta",))
def descend_from(
    theta_SxP: jax.Array, data: Data, max_steps: jax.Array, *, delta: float
) -> Optimum:
    """Descend from every start on the same rows, at most `max_steps` steps."""
    return jax.vmap(lambda theta: _descend(theta, data, delta, max_steps))(theta_SxP)


@partial(jax.jit, static_argnames=("delta", "batch_size"))
def descend_resamples(
    theta_P: jax.Array,
    u_NxKxP: jax.Array,
    y_BxN: jax.Array,
    w_BxN: jax.Array,
    *,
    delta: float,
    batch_size: int = 256,
) -> Optimum:
    """Descend from one start on B resamples, each with log losses and weights of its own.

    In batches, so that a slow resample holds up only its own batch.
    """

    def one(row: tuple[jax.Array, jax.Array]) -> Optimum:
        return _descend(theta_P, Data(u_NxKxP, *row), delta, jnp.int32(MAX_STEPS))

    return jax.lax.map(one, (y_BxN, w_BxN), batch_size=batch_size)


@partial(jax.jit, static_argnames=("delta",))
def objectives_at(theta_SxP: jax.Array, data: Data, *, delta: float) -> jax.Array:
    """Objective of every start."""
    return jax.vmap(lambda theta: objective(theta, data, delta))(theta_SxP)


@partial(jax.jit, static_argnames=("n_terms",))
def closed_form_starts(grid_SxQ: jax.Array, data: Data, *, n_terms: int) -> jax.Array:
    """Starts `theta_SxP` from exponents: the coefficients solve least squares of relative errors.

    Every subset of terms is solved for, and the best one whose coefficients are all positive is
    kept; terms left out start at a thousandth of the mean loss.
    """
    loss_N = jnp.exp(data.y_N)
    subsets_MxK = jnp.asarray(_subsets(n_terms))

    def start(exponents_Q: jax.Array) -> jax.Array:
        zeros_K = jnp.zeros(n_terms)
        log_terms_NxK = data.u_NxKxP @ jnp.concatenate([zeros_K, exponents_Q])
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
