"""The optimum of a robust fit of a law, from many starts in one program.

The objective is a weighted sum of penalties of the residuals. Each lane takes damped
second-order steps: of the exact Hessian where that is positive definite, of the iteratively
reweighted Gauss-Newton matrix otherwise, whichever lowers the objective more. A small Huber
delta makes the objective nearly a sum of absolute values, on which line-search quasi-Newton
methods stall far from the optimum (Besiroglu et al. 2024, arXiv 2404.10102, on the fit of
Hoffmann et al. 2022).
"""

from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.laws.objectives import Objective

MAX_STEPS = 200
# Lanes of a program of resamples, and the steps they take before they are grouped anew.
_LANES = 128
_STAGES = (8, 16, 32, MAX_STEPS)
_FIRST_DAMPING = 1e-3
_LEAST_DAMPING = 1e-12
_MOST_DAMPING = 1e12
_RELATIVE_DECREASE = 1e-14


class Model(Protocol):
    """The logarithm of a law as a function of `theta_P` and per-row inputs; hashable."""

    def log_loss(self, theta_P: jax.Array, inputs: Any) -> jax.Array:
        """Log loss of every row, `N`."""

    def slopes(self, theta_P: jax.Array, inputs: Any) -> jax.Array:
        """Its gradients, `NxP`."""

    def bend(self, theta_P: jax.Array, inputs: Any, weight_N: jax.Array) -> jax.Array:
        """Its Hessians summed with weights, `PxP`."""


class Data(NamedTuple):
    """Rows of one fit: the model's inputs, log losses `y_N`, weights `w_N`.

    `free_P` is 1 for what is fitted and 0 for what is held where it starts.
    """

    inputs: Any
    y_N: jax.Array
    w_N: jax.Array
    free_P: jax.Array


class Optimum(NamedTuple):
    """Where a lane ended: `theta_P`, the objective, and the Newton decrement `g' H^-1 g`."""

    theta_P: jax.Array
    value: jax.Array
    decrement: jax.Array


class Problem(NamedTuple):
    """What is compiled in: the model and the objective."""

    model: Model
    objective: Objective


class _Lane(NamedTuple):
    theta_P: jax.Array
    value: jax.Array
    damping: jax.Array
    decrement: jax.Array
    stalled: jax.Array
    steps: jax.Array


def residuals(problem: Problem, theta_P: jax.Array, data: Data) -> jax.Array:
    """Predicted less measured, of log losses or of losses as the objective has it."""
    log_loss_N = problem.model.log_loss(theta_P, data.inputs)
    if problem.objective.space == "log":
        return log_loss_N - data.y_N
    return jnp.exp(log_loss_N) - jnp.exp(data.y_N)


def value_of(problem: Problem, theta_P: jax.Array, data: Data) -> jax.Array:
    """The objective."""
    return jnp.sum(data.w_N * problem.objective.penalty(residuals(problem, theta_P, data)))


def derivatives(
    problem: Problem, theta_P: jax.Array, data: Data
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gradient `g_P`, exact Hessian and reweighted Gauss-Newton matrix `PxP` of the objective."""
    model, objective = problem
    log_loss_N = model.log_loss(theta_P, data.inputs)
    slope_NxP = model.slopes(theta_P, data.inputs)
    r_N = residuals(problem, theta_P, data)
    # Derivatives of the residual in the log loss.
    if objective.space == "log":
        first_N, second_N = jnp.ones_like(r_N), jnp.zeros_like(r_N)
    else:
        first_N = second_N = jnp.exp(log_loss_N)
    push_N = data.w_N * objective.slope(r_N)
    pull_N = push_N * first_N
    stiff_N = data.w_N * objective.curvature(r_N) * first_N**2 + push_N * second_N
    bound_N = data.w_N * objective.reweighting(r_N) * first_N**2
    gradient_P = pull_N @ slope_NxP
    gauss_PxP = (slope_NxP * bound_N[:, None]).T @ slope_NxP
    bend_PxP = model.bend(theta_P, data.inputs, pull_N)
    exact_PxP = bend_PxP + (slope_NxP * stiff_N[:, None]).T @ slope_NxP
    held_PxP = jnp.diag(1 - data.free_P)
    both_PxP = data.free_P[:, None] * data.free_P
    return (
        gradient_P * data.free_P,
        exact_PxP * both_PxP + held_PxP,
        gauss_PxP * both_PxP + held_PxP,
    )


def _solve_positive(matrix_PxP: jax.Array, vector_P: jax.Array) -> jax.Array:
    """Solution of the system, NaN where the matrix is not positive definite."""
    factor = jnp.linalg.cholesky(matrix_PxP)
    half = jax.scipy.linalg.solve_triangular(factor, vector_P, lower=True)
    return jax.scipy.linalg.solve_triangular(factor.T, half, lower=False)


def _step(problem: Problem, lane: _Lane, data: Data) -> _Lane:
    g_P, exact_PxP, gauss_PxP = derivatives(problem, lane.theta_P, data)
    scale_P = jnp.diag(gauss_PxP) + 1e-12 * jnp.trace(gauss_PxP) + 1e-300
    ridge_PxP = lane.damping * jnp.diag(scale_P)
    moves = [-_solve_positive(m + ridge_PxP, g_P) for m in (exact_PxP, gauss_PxP)]
    candidates_2xP = lane.theta_P + jnp.stack(moves)
    values_2 = jax.vmap(lambda theta: value_of(problem, theta, data))(candidates_2xP)
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


def _descend(problem: Problem, theta_P: jax.Array, data: Data, max_steps: jax.Array) -> Optimum:
    end = _descend_lane(problem, theta_P, data, max_steps)
    return Optimum(end.theta_P, end.value, end.decrement)


def _descend_lane(problem: Problem, theta_P: jax.Array, data: Data, max_steps: jax.Array) -> _Lane:
    def go_on(lane: _Lane) -> jax.Array:
        moving = (lane.stalled < 2) & (lane.damping < _MOST_DAMPING)
        far = lane.decrement > 1e-16 * lane.value
        return moving & far & (lane.steps < max_steps) & jnp.isfinite(lane.value)

    start = _Lane(
        theta_P=theta_P,
        value=value_of(problem, theta_P, data),
        damping=jnp.asarray(_FIRST_DAMPING, theta_P.dtype),
        decrement=jnp.asarray(jnp.inf, theta_P.dtype),
        stalled=jnp.int32(0),
        steps=jnp.int32(0),
    )
    return jax.lax.while_loop(go_on, lambda lane: _step(problem, lane, data), start)


@partial(jax.jit, static_argnames=("problem",))
def descend_from(
    problem: Problem, theta_SxP: jax.Array, data: Data, max_steps: jax.Array
) -> Optimum:
    """Descend from every start on the same rows, at most `max_steps` steps."""
    return jax.vmap(lambda theta: _descend(problem, theta, data, max_steps))(theta_SxP)


@partial(jax.jit, static_argnames=("problem",))
def _descend_lanes(
    problem: Problem,
    theta_SxP: jax.Array,
    data: Data,
    y_SxN: jax.Array,
    w_SxN: jax.Array,
    max_steps: jax.Array,
) -> tuple[Optimum, jax.Array]:
    """Descend in lanes with starts and rows of their own; also whether each came to its end."""

    def one(theta_P: jax.Array, y_N: jax.Array, w_N: jax.Array) -> tuple[Optimum, jax.Array]:
        end = _descend_lane(problem, theta_P, data._replace(y_N=y_N, w_N=w_N), max_steps)
        return Optimum(end.theta_P, end.value, end.decrement), end.steps < max_steps

    return jax.vmap(one)(theta_SxP, y_SxN, w_SxN)


def descend_resamples(
    problem: Problem, theta_P: ArrayLike, data: Data, y_BxN: np.ndarray, w_BxN: np.ndarray
) -> np.ndarray:
    """Where B resamples, each with log losses and weights of its own, descend to, `theta_BxP`.

    All lanes of a program run until its slowest is done, and most need far fewer steps than the
    slowest. So lanes take a few steps at a time, and those that are not done are gathered into
    new groups for more.
    """
    theta_BxP = np.tile(np.asarray(theta_P, np.float64), (len(y_BxN), 1))
    waiting = np.arange(len(y_BxN))
    for steps in _STAGES:
        left = []
        for at in range(0, len(waiting), _LANES):
            group = waiting[at : at + _LANES]
            # The last group is filled up with its own first lane: one size, one program.
            lanes = np.resize(group, _LANES) if len(group) < _LANES else group
            ends, done = _descend_lanes(
                problem, theta_BxP[lanes], data, y_BxN[lanes], w_BxN[lanes], jnp.int32(steps)
            )
            theta_BxP[group] = np.asarray(ends.theta_P)[: len(group)]
            left.append(group[~np.asarray(done)[: len(group)]])
        waiting = np.concatenate(left)
        if not len(waiting):
            break
    return theta_BxP


@partial(jax.jit, static_argnames=("problem",))
def descend_to_targets(
    problem: Problem, theta_P: jax.Array, data: Data, target_S: jax.Array, weight: float
) -> Optimum:
    """Descend from one start with the last row pulled to each target by `weight`."""

    def one(target: jax.Array) -> Optimum:
        y_N, w_N = data.y_N.at[-1].set(target), data.w_N.at[-1].set(weight)
        return _descend(problem, theta_P, data._replace(y_N=y_N, w_N=w_N), jnp.int32(MAX_STEPS))

    return jax.vmap(one)(target_S)


@partial(jax.jit, static_argnames=("problem",))
def values_at(problem: Problem, theta_SxP: jax.Array, data: Data) -> jax.Array:
    """Objective of every start."""
    return jax.vmap(lambda theta: value_of(problem, theta, data))(theta_SxP)


@partial(jax.jit, static_argnames=("problem",))
def examined(
    problem: Problem, theta_P: jax.Array, data: Data
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gradient, exact Hessian and the model's values at a point, compiled as one program."""
    gradient_P, exact_PxP, _ = derivatives(problem, theta_P, data)
    return gradient_P, exact_PxP, problem.model.log_loss(theta_P, data.inputs)
