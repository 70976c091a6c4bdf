"""The objective of a fit at a point, with its gradient and its curvature."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.laws.objectives import Objective
from scaling_jax.laws.solver.model import Derivatives, Model, RowWeights

# An array of JAX within a program, of NumPy between programs.
Array = Any


class Pull(NamedTuple):
    """A prior of `theta` in the objective's unit: `sum precision_P (theta_P - mean_P)^2 / 2`."""

    mean_P: Array
    precision_P: Array


class Data(NamedTuple):
    """Rows of one fit: the model's inputs, log losses `y_N`, weights `w_N`.

    `free_P` is 1 for what is fitted and 0 for what is held where it starts. `prior` adds to the
    objective what is known of the constants beside the rows.
    """

    inputs: Any
    y_N: jax.Array
    w_N: jax.Array
    free_P: jax.Array
    prior: Pull | None = None


class Problem(NamedTuple):
    """What is compiled in: the model and the objective."""

    model: Model
    objective: Objective


def solve_positive(matrix_PxP: jax.Array, vector_P: jax.Array) -> jax.Array:
    """Solution of a symmetric system, NaN where the matrix is not positive definite.

    Elimination without pivoting, which is stable for such matrices. Library routines are called
    once for every matrix of a batch, which takes several times as long for a handful of unknowns.
    """
    n = len(vector_P)
    rows = jnp.concatenate([matrix_PxP, vector_P[:, None]], axis=1)
    positive = jnp.bool_(True)
    for k in range(n):
        pivot = rows[k, k]
        positive &= pivot > 0
        row = rows[k] / pivot
        others = (jnp.arange(n) != k).astype(rows.dtype)
        # Row k becomes `row`; every other row loses its share of it.
        rows = rows * others[:, None] - (rows[:, k] * others - (1 - others))[:, None] * row
    return jnp.where(positive, rows[:, -1], jnp.nan)


def residuals(problem: Problem, theta_P: jax.Array, data: Data) -> jax.Array:
    """Predicted less measured, of log losses or of losses, as the objective compares them."""
    log_loss_N = problem.model.log_loss(theta_P, data.inputs)
    if problem.objective.space == "log":
        return log_loss_N - data.y_N
    return jnp.exp(log_loss_N) - jnp.exp(data.y_N)


def value_of(problem: Problem, theta_P: jax.Array, data: Data) -> jax.Array:
    """The objective, with the prior's part."""
    rows = jnp.sum(data.w_N * problem.objective.penalty(residuals(problem, theta_P, data)))
    if data.prior is None:
        return rows
    mean_P, precision_P = data.prior
    return rows + jnp.sum(precision_P * data.free_P * (theta_P - mean_P) ** 2) / 2


def row_slopes(problem: Problem, theta_P: Array, data: Data) -> Array:
    """Derivatives of the objective in each row's log response, `N`."""
    slope_N = data.w_N * problem.objective.slope(residuals(problem, theta_P, data))
    if problem.objective.space == "log":
        return slope_N
    return slope_N * jnp.exp(problem.model.log_loss(theta_P, data.inputs))


def derivatives(problem: Problem, theta_P: jax.Array, data: Data) -> Derivatives:
    """Gradient, exact Hessian and reweighted Gauss-Newton matrix of the objective."""
    model, objective = problem
    r_N = residuals(problem, theta_P, data)
    # Derivatives of the residual in the log loss.
    if objective.space == "log":
        first_N, second_N = jnp.ones_like(r_N), jnp.zeros_like(r_N)
    else:
        first_N = second_N = jnp.exp(model.log_loss(theta_P, data.inputs))
    slope_N = data.w_N * objective.slope(r_N)
    weights = RowWeights(
        gradient_N=slope_N * first_N,
        outer_N=data.w_N * objective.curvature(r_N) * first_N**2 + slope_N * second_N,
        gauss_newton_N=data.w_N * objective.reweighting(r_N) * first_N**2,
    )
    sums = model.derivatives(theta_P, data.inputs, weights)
    if data.prior is not None:
        mean_P, precision_P = data.prior
        prior_PxP = jnp.diag(precision_P)
        sums = Derivatives(
            sums.gradient_P + precision_P * (theta_P - mean_P),
            sums.hessian_PxP + prior_PxP,
            sums.gauss_newton_PxP + prior_PxP,
        )
    held_PxP = jnp.diag(1 - data.free_P)
    both_PxP = data.free_P[:, None] * data.free_P
    return Derivatives(
        sums.gradient_P * data.free_P,
        sums.hessian_PxP * both_PxP + held_PxP,
        sums.gauss_newton_PxP * both_PxP + held_PxP,
    )


@partial(jax.jit, static_argnames=("problem",))
def values_at(problem: Problem, theta_SxP: jax.Array, data: Data) -> jax.Array:
    """Objective of every start."""
    return jax.vmap(lambda theta: value_of(problem, theta, data))(theta_SxP)
