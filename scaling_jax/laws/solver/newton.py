"""The optimum of a robust fit of a law, from many starts in one program.

The objective is a weighted sum of penalties of the residuals. Each descent takes damped
second-order steps: of the exact Hessian where that is positive definite, of the iteratively
reweighted Gauss-Newton matrix otherwise, whichever lowers the objective more. A small Huber
delta makes the objective nearly a sum of absolute values, on which line-search quasi-Newton
methods such as L-BFGS stall far from the optimum (Besiroglu et al. 2024, arXiv 2404.10102, on the
fit of Hoffmann et al. 2022): its gradient jumps where a residual changes sign, which no running
estimate of curvature follows. Second derivatives of P constants are cheap here, so they are exact.
The reweighted Gauss-Newton matrix is a quadratic bound of Huber's penalty (Huber and Ronchetti
2009, "Robust Statistics", section 7.8), so that its steps fall wherever the Hessian is indefinite.
"""

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.laws.solver.problem import (
    Array,
    Data,
    Problem,
    Pull,
    derivatives,
    row_slopes,
    solve_positive,
    value_of,
)

MAX_STEPS = 200
_POLISHING_STEPS = 3
# Descents of a program: many have the higher throughput; in a small group the slowest keeps fewer
# others waiting.
_MANY, _FEW = 128, 16
# Rows times descents of a program, which limits its memory.
_MOST_VALUES = 1 << 21
# Steps after which descents are grouped again.
_STAGES = (7, 9, 11, 14, 20, 32, 64)
_FIRST_DAMPING = 1e-3
_LEAST_DAMPING = 1e-12
_MOST_DAMPING = 1e12
_RELATIVE_DECREASE = 1e-14


class Ends(NamedTuple):
    """Where descents ended and their objectives there."""

    theta_SxP: np.ndarray
    value_S: np.ndarray

    def lower(self, other: "Ends") -> "Ends":
        """The lower of two ends of every descent; this one where they are equal."""
        better_S = np.isnan(self.value_S) | (other.value_S < self.value_S)
        return Ends(
            np.where(better_S[:, None], other.theta_SxP, self.theta_SxP),
            np.where(better_S, other.value_S, self.value_S),
        )


class _Descent(NamedTuple):
    theta_P: Array
    value: Array
    damping: Array
    decrement: Array
    stalled: Array
    steps: Array


def at_once(n_rows: int) -> int:
    """How many descents of so many rows a program may take together."""
    return max(1, _MOST_VALUES // n_rows)


def _step(problem: Problem, descent: _Descent, data: Data) -> _Descent:
    g_P, hessian_PxP, gauss_newton_PxP = derivatives(problem, descent.theta_P, data)
    scale_P = jnp.diag(gauss_newton_PxP) + 1e-12 * jnp.trace(gauss_newton_PxP) + 1e-300
    ridge_PxP = descent.damping * jnp.diag(scale_P)
    matrices_2xPxP = jnp.stack([hessian_PxP, gauss_newton_PxP]) + ridge_PxP
    moves = -jax.vmap(solve_positive, (0, None))(matrices_2xPxP, g_P)
    candidates_2xP = descent.theta_P + moves
    values_2 = jax.vmap(lambda theta: value_of(problem, theta, data))(candidates_2xP)
    values_2 = jnp.where(jnp.isfinite(values_2), values_2, jnp.inf)
    best = jnp.argmin(values_2)
    better = values_2[best] < descent.value
    decrement = jnp.where(jnp.isfinite(moves[0]).all(), -g_P @ moves[0], -g_P @ moves[1])
    little = descent.value - values_2[best] <= _RELATIVE_DECREASE * descent.value
    damping = jnp.where(better, descent.damping * 0.1, descent.damping * 8)
    return _Descent(
        theta_P=jnp.where(better, candidates_2xP[best], descent.theta_P),
        value=jnp.where(better, values_2[best], descent.value),
        damping=jnp.clip(damping, _LEAST_DAMPING, None),
        decrement=decrement,
        # An improvement in the last digit only, twice in a row, is the end of double precision.
        stalled=jnp.where(
            better & little, descent.stalled + 1, jnp.where(better, 0, descent.stalled)
        ),
        steps=descent.steps + 1,
    )


def _unfinished(descent: _Descent) -> jax.Array:
    moving = (descent.stalled < 2) & (descent.damping < _MOST_DAMPING)
    far = descent.decrement > 1e-16 * descent.value
    going: jax.Array = moving & far & (descent.steps < MAX_STEPS) & jnp.isfinite(descent.value)
    return going


def _advance(problem: Problem, descent: _Descent, data: Data, max_steps: jax.Array) -> _Descent:
    """Steps until the descent is finished or has taken `max_steps` from its start."""
    return jax.lax.while_loop(
        lambda descent: _unfinished(descent) & (descent.steps < max_steps),
        lambda descent: _step(problem, descent, data),
        descent,
    )


@partial(jax.jit, static_argnames=("problem",))
def _advance_all(
    problem: Problem,
    descents_S: _Descent,
    data: Data,
    y_SxN: jax.Array,
    w_SxN: jax.Array,
    prior_S: Pull | None,
    max_steps: jax.Array,
) -> tuple[_Descent, jax.Array]:
    """Advance descents with rows of their own; also which of them are still unfinished."""

    def one(
        descent: _Descent, y_N: jax.Array, w_N: jax.Array, prior: Pull | None
    ) -> tuple[_Descent, jax.Array]:
        own = data._replace(y_N=y_N, w_N=w_N, prior=prior)
        fresh = descent._replace(value=value_of(problem, descent.theta_P, own))
        end = _advance(problem, fresh, own, max_steps)
        return end, _unfinished(end)

    return jax.vmap(one)(descents_S, y_SxN, w_SxN, prior_S)


def descend(
    problem: Problem,
    theta_SxP: np.ndarray,
    data: Data,
    y_SxN: np.ndarray | None = None,
    w_SxN: np.ndarray | None = None,
    max_steps: int = MAX_STEPS,
    prior_S: Pull | None = None,
) -> Ends:
    """Where descents end after at most `max_steps` steps.

    Every descent has a start and, if given, log losses, weights and a prior of its own (`SxP`)
    instead of `data`'s.
    All descents of a program run until its slowest is done, and most need far fewer steps than the
    slowest. So descents take a few steps at a time, and those that are not done are gathered into
    new groups for more.
    """
    descents_S = _fresh(theta_SxP)
    y_SxN = np.broadcast_to(data.y_N if y_SxN is None else y_SxN, (len(theta_SxP), len(data.y_N)))
    w_SxN = np.broadcast_to(data.w_N if w_SxN is None else w_SxN, y_SxN.shape)
    prior_S = data.prior if prior_S is None else prior_S
    if prior_S is not None:
        prior_S = Pull(*(np.broadcast_to(x, theta_SxP.shape) for x in prior_S))
    data = data._replace(prior=None)
    waiting = np.arange(len(theta_SxP))
    for limit in (*(stage for stage in _STAGES if stage < max_steps), max_steps):
        left = []
        size = min(_MANY if len(waiting) > _MANY // 2 else _FEW, at_once(len(data.y_N)))
        for at in range(0, len(waiting), size):
            group = waiting[at : at + size]
            # The last group is filled up with its own first descents: one size, one program.
            chosen = np.resize(group, size)
            descents = jax.tree.map(lambda x, chosen=chosen: x[chosen], descents_S)
            ends, unfinished = _advance_all(
                problem,
                descents,
                data,
                y_SxN[chosen],
                w_SxN[chosen],
                None if prior_S is None else Pull(*(x[chosen] for x in prior_S)),
                np.int32(limit),
            )
            for all_descents, reached in zip(descents_S, ends, strict=True):
                all_descents[group] = np.asarray(reached)[: len(group)]
            left.append(group[np.asarray(unfinished)[: len(group)]])
        waiting = np.concatenate(left)
        if not len(waiting):
            break
    return Ends(descents_S.theta_P, descents_S.value)


def descend_from_each(
    problem: Problem,
    theta_SxP: np.ndarray,
    data: Data,
    y_LxN: np.ndarray,
    w_LxN: np.ndarray | None = None,
    prior_L: Pull | None = None,
) -> Ends:
    """The lowest ends of descents from every start, for each of L sets of log losses."""
    every = [
        descend(problem, np.tile(theta_P, (len(y_LxN), 1)), data, y_LxN, w_LxN, prior_S=prior_L)
        for theta_P in theta_SxP
    ]
    return reduce(Ends.lower, every)


def _fresh(theta_SxP: np.ndarray) -> _Descent:
    """Descents that have not moved yet."""
    n = len(theta_SxP)
    return _Descent(
        theta_P=np.array(theta_SxP, np.float64),
        value=np.full(n, np.inf),
        damping=np.full(n, _FIRST_DAMPING),
        decrement=np.full(n, np.inf),
        stalled=np.zeros(n, np.int32),
        steps=np.zeros(n, np.int32),
    )


class Examined(NamedTuple):
    """A point, the objective's gradient and exact Hessian there, and the rows' part in both.

    `slope_N` are the derivatives of the objective in each row's log response.
    """

    theta_P: Array
    gradient_P: Array
    hessian_PxP: Array
    log_loss_N: Array
    gradient_NxP: Array
    slope_N: Array


def examined(problem: Problem, theta_P: Array, data: Data) -> Examined:
    """The point, moved by plain Newton steps while they shrink the gradient.

    Descents end where the objective no longer falls in double precision; its gradient can still.
    """
    here: Examined = _examined_at(problem, theta_P, data)
    for _ in range(_POLISHING_STEPS):
        move_P = _newton_move(np.asarray(here.gradient_P), np.asarray(here.hessian_PxP))
        if move_P is None:
            break
        moved = _examined_at(problem, np.asarray(here.theta_P) + move_P, data)
        # A step so far that the gradient overflows has not shrunk the gradient.
        with np.errstate(over="ignore"):
            shrunk = np.linalg.norm(moved.gradient_P) < np.linalg.norm(here.gradient_P)
        if not shrunk:
            break
        here = moved
    return here


def _newton_move(gradient_P: np.ndarray, hessian_PxP: np.ndarray) -> np.ndarray | None:
    """The step to where the gradient would vanish, or None where that is no minimum."""
    try:
        np.linalg.cholesky(hessian_PxP)
        return -np.linalg.solve(hessian_PxP, gradient_P)
    except np.linalg.LinAlgError:
        return None


@partial(jax.jit, static_argnames=("problem",))
def _examined_at(problem: Problem, theta_P: jax.Array, data: Data) -> Examined:
    gradient_P, hessian_PxP, _ = derivatives(problem, theta_P, data)
    log_loss_N = problem.model.log_loss(theta_P, data.inputs)
    gradient_NxP = jax.jacfwd(problem.model.log_loss)(theta_P, data.inputs) * data.free_P
    slope_N = row_slopes(problem, theta_P, data)
    return Examined(theta_P, gradient_P, hessian_PxP, log_loss_N, gradient_NxP, slope_N)
