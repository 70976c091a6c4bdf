"""Small systems of equations, solved in plain arithmetic so that many lanes share a program."""

import jax
import jax.numpy as jnp


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
        # Row k becomes `row`; every other one loses its share of it.
        rows = rows * others[:, None] - (rows[:, k] * others - (1 - others))[:, None] * row
    return jnp.where(positive, rows[:, -1], jnp.nan)
