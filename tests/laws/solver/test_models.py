"""Models in the solver: their derivatives, and the small systems it solves."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.solver.model import RowWeights
from scaling_jax.laws.solver.problem import solve_positive
from scaling_jax.laws.solver.term_sum import PowerOfSum, TermSum


@pytest.mark.parametrize("outside", [None, 0, 1])
@in_float64
def test_derivatives_of_the_model_are_those_of_its_value(outside):
    rng = np.random.default_rng(0)
    n_terms = 2 + (outside or 0)
    u = rng.normal(size=(7, n_terms, n_terms + 3))
    if outside is not None:
        u[..., -1] = 0
        u[:, :outside, n_terms:] = 0
    theta = jnp.asarray(rng.normal(size=n_terms + 3))
    gradient_N, outer_N, gauss_newton_N = jnp.asarray(rng.normal(size=(3, 7)))
    model = TermSum() if outside is None else PowerOfSum(outside)
    weights = RowWeights(gradient_N, outer_N, gauss_newton_N)
    sums = jax.jit(model.derivatives)(theta, jnp.asarray(u), weights)
    gradients = jax.jit(jax.jacfwd(model.log_loss))(theta, u)
    hessian = jax.jit(jax.hessian(lambda t: gradient_N @ model.log_loss(t, u)))(theta)
    close = partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10)
    close(sums.gradient_P, gradient_N @ gradients)
    close(sums.hessian_PxP, hessian + gradients.T @ jnp.diag(outer_N) @ gradients)
    close(sums.gauss_newton_PxP, gradients.T @ jnp.diag(gauss_newton_N) @ gradients)


def test_positive_systems_are_solved_together_and_the_others_refused():
    rng = np.random.default_rng(0)
    root_BxPxP = rng.normal(size=(20, 6, 6)) * np.geomspace(1e-3, 1e3, 6)
    matrix_BxPxP = root_BxPxP.transpose(0, 2, 1) @ root_BxPxP
    matrix_BxPxP[7, 2] *= -1
    matrix_BxPxP[7, :, 2] *= -1
    matrix_BxPxP[7, 2, 2] *= -1
    x_BxP = rng.normal(size=(20, 6)) / np.geomspace(1e-3, 1e3, 6)
    vector_BxP = np.einsum("bpq,bq->bp", matrix_BxPxP, x_BxP)
    solved_BxP = np.asarray(in_float64(jax.vmap(solve_positive))(matrix_BxPxP, vector_BxP))
    assert np.isnan(solved_BxP[7]).all()
    others = np.arange(20) != 7
    np.testing.assert_allclose(solved_BxP[others], x_BxP[others], rtol=1e-6)
