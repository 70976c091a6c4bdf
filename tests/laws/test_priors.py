"""Priors of constants: what they add to a fit, and where they matter."""

import numpy as np
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import KAPLAN_PARAMS, SKALING
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.priors import Prior, prior_from
from scaling_jax.laws.solver.optimum import optimum, refit

N = np.geomspace(1e6, 1e8, 12)
NOISE = np.random.default_rng(3).normal(0, 0.01, len(N))


def test_a_prior_of_an_exponent_gives_the_ridge_regression_of_the_logs() -> None:
    loss, prior = 20 * N**-0.08 * np.exp(NOISE), Prior(0.2, 0.01)
    fit = optimum(
        KAPLAN_PARAMS,
        {"params": N},
        loss,
        objective=objective_named("log-squares"),
        priors={"alpha": prior},
    )
    assert fit.prior is not None
    x = np.stack([np.ones_like(N), -(np.log(N) - np.log(N).mean())], axis=1)
    precision = np.diag([0.0, fit.prior.per_nat / prior.spread**2])
    aim = x.T @ np.log(loss) + precision @ [0.0, prior.centre]
    expected = np.linalg.solve(x.T @ x + precision, aim)
    assert fit.theta_P == pytest.approx(expected, rel=1e-9)
    assert 0.08 < expected[1] < 0.2


def test_a_firm_table_overrules_the_priors_and_a_silent_one_follows_them() -> None:
    true = dict(E=1.5, A=60.0, B=120.0, alpha=0.3, beta=0.3, k=1.0)
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e5, 1e10, 12), np.geomspace(1e7, 1e12, 9)))
    loss = SKALING.value(SKALING.ordered(true), {"params": n, "tokens": d})
    firm = optimum(SKALING, {"params": n, "tokens": d}, loss)
    constants = dict(zip(SKALING.names, firm.constants_P, strict=True))
    assert constants["E"] == pytest.approx(1.5, rel=0.01)
    assert constants["k"] == pytest.approx(1.0, rel=0.05)
    few = slice(40, 52)
    silent = optimum(SKALING, {"params": n[few], "tokens": d[few]}, loss[few])
    spread = SKALING.priors["k"].spread
    assert abs(np.log(silent.constants_P[-1] / 0.6)) < 2 * spread


def test_draws_of_what_the_rows_do_not_say_spread_as_the_prior() -> None:
    # One size and one horizon say nothing of an exponent.
    n, d = np.full(8, 1e8), np.full(8, 2e9)
    loss = 3.0 * np.exp(NOISE[:8])
    fit = optimum(SKALING, {"params": n, "tokens": d}, loss)
    draws_BxP = refit(
        SKALING,
        {"params": n, "tokens": d},
        fit,
        np.tile(loss, (400, 1)),
        np.ones((400, 8)),
        prior_draws=range(400),
    )
    alpha = draws_BxP[:, SKALING.names.index("alpha")]
    assert alpha.mean() == pytest.approx(0.4, abs=0.06)
    assert alpha.std() == pytest.approx(0.25, rel=0.2)


def test_priors_are_refused_where_they_cannot_be() -> None:
    values, loss = {"params": N, "tokens": N * 20}, np.full(len(N), 3.0)
    with pytest.raises(InputError, match="has no 'gamma'"):
        optimum(SKALING, values, loss, priors={"gamma": Prior(1, 1)})
    with pytest.raises(InputError, match="A multiplies powers"):
        optimum(SKALING, values, loss, priors={"A": Prior(1, 1)})
    with pytest.raises(InputError, match="spread 0"):
        Prior(1.6, 0.0)
    with pytest.raises(InputError, match="must be positive"):
        prior_from(-1.6, 0.1, positive=True)
