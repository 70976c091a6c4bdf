"""The optimum: published points, made-up laws, and cases that stop other optimizers."""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from scaling_jax.laws.catalogue import CHINCHILLA, CHINCHILLA_TIED
from scaling_jax.laws.float64 import in_float64
from scaling_jax.laws.objectives import HUBER_DELTA as DELTA
from scaling_jax.laws.solver import optimum as optimum_module
from scaling_jax.laws.solver import search, term_sum
from scaling_jax.laws.solver.model import RowWeights
from scaling_jax.laws.solver.optimum import optimum, refit

DATA = Path(__file__).parents[1] / "data"
NAMES = CHINCHILLA.names


def columns(name):
    table = pd.read_csv(DATA / name)
    variables = {c: table[c].to_numpy(float) for c in ("params", "tokens")}
    return variables, table["loss"].to_numpy(float)


def grid(budgets, sizes_per_budget=6, width=4.0, params=1e8, at=1e19):
    n = [
        params * np.sqrt(c / at) * f
        for c in budgets
        for f in np.geomspace(1 / width, width, sizes_per_budget)
    ]
    d = np.repeat(budgets, sizes_per_budget) / 6 / np.array(n)
    return {"params": np.array(n), "tokens": d}


def huber_in_numpy(theta, values, loss, weights=None):
    """The objective written out again; theta = (ln E, ln A, ln B, alpha, beta)."""
    e, a, b, alpha, beta = theta
    terms = [
        np.full(len(loss), e),
        a - alpha * np.log(values["params"]),
        b - beta * np.log(values["tokens"]),
    ]
    r = np.abs(np.logaddexp.reduce(terms, axis=0) - np.log(loss))
    each = np.where(r <= DELTA, r**2 / 2, DELTA * (r - DELTA / 2))
    return each.sum() if weights is None else weights @ each


def test_240_published_points_have_their_known_optimum():
    fit = optimum(CHINCHILLA, *columns("chinchilla_240.csv"))
    known = dict(E=1.817218, A=477.826, B=2143.417, alpha=0.347310, beta=0.367172)
    for name, value in zip(NAMES, fit.constants_P, strict=True):
        assert value == pytest.approx(known[name], rel=2e-6), name
    assert fit.value <= 0.00101827401778 * (1 + 1e-9)
    assert fit.gradient_norm < 1e-12
    theta = [*np.log(fit.constants_P[:3]), *fit.constants_P[3:]]
    assert huber_in_numpy(theta, *columns("chinchilla_240.csv")) == pytest.approx(
        fit.value, rel=1e-10
    )


def test_245_published_points_have_their_known_optimum():
    fit = optimum(CHINCHILLA, *columns("chinchilla_245.csv"))
    known = dict(E=1.8913, A=495.7, B=12845.6, alpha=0.3493, beta=0.4531)
    for name, value in zip(NAMES, fit.constants_P, strict=True):
        assert value == pytest.approx(known[name], rel=2e-4), name
    assert fit.value == pytest.approx(0.0018260105, rel=1e-7)


@pytest.mark.parametrize(
    "constants",
    [
        (1.69, 406.4, 410.7, 0.34, 0.28),
        (0.5, 3.0, 8.0, 0.07, 0.11),
        (2.0, 1e20, 50.0, 3.0, 0.15),
        (2.0, 100.0, 1e50, 0.3, 5.0),
    ],
    ids=["chinchilla", "shallow", "steep in N", "steep in D"],
)
def test_noise_free_losses_give_back_their_law(constants):
    values = grid(np.geomspace(1e18, 1e21, 4))
    loss = CHINCHILLA.value(np.array(constants), values)
    fit = optimum(CHINCHILLA, values, loss)
    np.testing.assert_allclose(CHINCHILLA.value(fit.constants_P, values), loss, rtol=1e-6)
    if max(constants[3:]) < 1:
        np.testing.assert_allclose(fit.constants_P, constants, rtol=1e-4)


def test_no_floor_is_reached_as_a_limit_not_a_failure():
    values = grid(np.geomspace(1e18, 1e21, 4))
    loss = CHINCHILLA.value(np.array([0.0, 20.0, 30.0, 0.2, 0.15]), values)
    fit = optimum(CHINCHILLA, values, loss)
    assert fit.constants_P[0] < 0.05
    np.testing.assert_allclose(CHINCHILLA.value(fit.constants_P, values), loss, rtol=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_no_start_of_a_general_optimizer_beats_the_optimum(seed):
    rng = np.random.default_rng(seed)
    values = grid(np.geomspace(1e17, 1e20, 4), width=rng.uniform(2, 10))
    truth = np.array([rng.uniform(0.5, 2), 0, 0, *rng.uniform(0.15, 0.7, 2)])
    truth[1] = rng.uniform(0.3, 1) * np.median(values["params"]) ** truth[3]
    truth[2] = rng.uniform(0.3, 1) * np.median(values["tokens"]) ** truth[4]
    loss = CHINCHILLA.value(truth, values) * np.exp(0.01 * rng.standard_t(3, 24))
    fit = optimum(CHINCHILLA, values, loss)
    theta = np.array([*np.log(fit.constants_P[:3]), *fit.constants_P[3:]])
    true_theta = np.array([*np.log(truth[:3]), *truth[3:]])
    starts = [theta, true_theta, *(true_theta + 0.3 * rng.normal(size=(8, 5)))]
    for start in starts:
        found = minimize(
            lambda t: 1e3 * huber_in_numpy(t, values, loss),
            start,
            method="Nelder-Mead",
            options={"maxiter": 3000, "maxfev": 3000, "xatol": 1e-10, "fatol": 1e-14},
        )
        assert found.fun / 1e3 >= fit.value * (1 - 1e-9)


def test_tied_exponents_are_equal_and_cost_something():
    values, loss = columns("chinchilla_240.csv")
    free = optimum(CHINCHILLA, values, loss)
    tied = optimum(CHINCHILLA_TIED, values, loss)
    assert len(tied.constants_P) == 4
    assert free.value < tied.value < 1.1 * free.value


def test_weights_count_rows():
    values, loss = columns("chinchilla_isoflop_124.csv")
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 3, len(loss))
    weighted = optimum(CHINCHILLA, values, loss, weights.astype(float))
    repeated = {name: np.repeat(column, weights) for name, column in values.items()}
    written_out = optimum(CHINCHILLA, repeated, np.repeat(loss, weights))
    assert weighted.value == pytest.approx(written_out.value, rel=1e-9)
    np.testing.assert_allclose(weighted.constants_P, written_out.constants_P, rtol=1e-5)


def test_resamples_reach_their_own_optima():
    values, loss = columns("chinchilla_240.csv")
    fit = optimum(CHINCHILLA, values, loss)
    rng = np.random.default_rng(1)
    weights = rng.multinomial(240, np.full(240, 1 / 240), size=12).astype(float)
    losses = np.broadcast_to(loss, weights.shape)
    drawn = refit(CHINCHILLA, values, fit, losses, weights)
    for constants, w in zip(drawn, weights, strict=True):
        own = optimum(CHINCHILLA, values, loss, w)
        reached = huber_in_numpy([*np.log(constants[:3]), *constants[3:]], values, loss, w)
        assert reached == pytest.approx(own.value, rel=1e-6)


def test_units_do_not_matter():
    values, loss = columns("chinchilla_240.csv")
    fit = optimum(CHINCHILLA, values, loss)
    scaled = {name: column / 1e9 for name, column in values.items()}
    other = optimum(CHINCHILLA, scaled, loss)
    assert other.value == pytest.approx(fit.value, rel=1e-12)
    np.testing.assert_allclose(other.constants_P[[0, 3, 4]], fit.constants_P[[0, 3, 4]], rtol=1e-7)


def test_the_callers_precision_is_left_alone():
    optimum(CHINCHILLA, *columns("chinchilla_isoflop_124.csv"))
    assert jax.numpy.zeros(1).dtype == jax.numpy.float32
    assert not jax.config.jax_enable_x64


def noisy(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform([7, 9], [10, 12], (n_rows, 2)).T
    loss = 1.7 + 400 / params**0.34 + 410 / tokens**0.28
    return {"params": params, "tokens": tokens}, loss * np.exp(0.003 * rng.normal(size=n_rows))


def test_a_search_on_a_sample_ends_in_the_optimum_of_all_rows(monkeypatch):
    values, loss = noisy(400)
    whole = optimum(CHINCHILLA, values, loss)
    for module in (search, optimum_module):
        monkeypatch.setattr(module, "MOST_SEARCHED", 100)
    monkeypatch.setattr(search, "_SAMPLED", 150)
    thinned = optimum(CHINCHILLA, values, loss)
    assert thinned.value == pytest.approx(whole.value, rel=1e-9)
    np.testing.assert_allclose(thinned.constants_P, whole.constants_P, rtol=1e-6)


def test_sums_over_blocks_of_rows_are_those_over_all_rows():
    n_rows = term_sum._BLOCKS_FROM + 1000
    values = noisy(n_rows)[0]
    logs = {name: np.log(column / column.mean()) for name, column in values.items()}
    u_NxKxP = CHINCHILLA.design(logs)
    weights = RowWeights(*np.random.default_rng(1).normal(size=(3, n_rows)))
    theta_P = np.array([0.5, 0.1, -0.2, 0.34, 0.28])
    blocks = in_float64(term_sum.TermSum().derivatives)(theta_P, u_NxKxP, weights)
    at_once = in_float64(term_sum._sums)(theta_P, u_NxKxP, weights)
    for one, other in zip(blocks, at_once, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)
