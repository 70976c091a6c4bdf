"""How much a fit gives way to a row, with what is known of the constants beside the rows."""

import numpy as np
import pytest

from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.priors import Prior
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.solver.search import leverages

RNG = np.random.default_rng(0)


def test_priors_lower_leverages_as_those_of_ridge_regression() -> None:
    x_NxP, w_N, prior_P = RNG.normal(size=(9, 3)), RNG.uniform(0.2, 1, 9), np.array([0, 2.0, 30])
    middle_PxP = x_NxP.T @ (w_N[:, None] * x_NxP) + np.diag(prior_P)
    wanted_N = w_N * np.einsum("np,pq,nq->n", x_NxP, np.linalg.inv(middle_PxP), x_NxP)
    np.testing.assert_allclose(leverages(x_NxP, w_N, prior_P), wanted_N)
    assert leverages(x_NxP, w_N).sum() == pytest.approx(3)


def test_a_firm_prior_takes_as_much_leverage_as_holding_its_constant() -> None:
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 3e10, 4)))
    values = {"params": n, "tokens": d}
    loss = (1.7 + 400 / n**0.34 + 410 / d**0.28) * np.exp(0.003 * RNG.standard_normal(len(n)))
    objective = objective_named(CHINCHILLA.default_objective)

    def found(**known):
        return optimum(CHINCHILLA, values, loss, objective=objective, **known).leverage_N

    free_N, held_N = found(), found(fixed={"E": 1.7})
    firm_N, vague_N = found(priors={"E": Prior(1.7, 1e-7)}), found(priors={"E": Prior(1.7, 1e3)})
    assert held_N.sum() == pytest.approx(4, abs=1e-6)
    np.testing.assert_allclose(firm_N, held_N, atol=1e-4)
    np.testing.assert_allclose(vague_N, free_N, atol=0.02)
