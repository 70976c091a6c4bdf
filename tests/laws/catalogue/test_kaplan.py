"""Kaplan's joint law: a power of a sum, fitted like the sums themselves."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from scaling_jax import laws
from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.catalogue import KAPLAN, KAPLAN_FLOOR
from scaling_jax.laws.solver.optimum import optimum

PUBLISHED = KAPLAN.ordered(KAPLAN.published["kaplan-2020"])


def study(noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    n = np.tile(np.geomspace(1e6, 1e9, 6), 4)
    d = n * np.repeat([4.0, 12.0, 36.0, 108.0], 6)
    loss = KAPLAN.value(PUBLISHED, {"params": n, "tokens": d})
    return pd.DataFrame(
        {"params": n, "tokens": d, "loss": loss * np.exp(noise * rng.normal(size=24))}
    )


def test_the_published_constants_are_those_of_equation_1_5():
    n, d = 1e8, 1e10
    by_hand = ((6.4e13 / n) ** (0.076 / 0.103) + 1.8e13 / d) ** 0.103
    assert KAPLAN.value(PUBLISHED, {"params": n, "tokens": d}) == pytest.approx(by_hand)
    scales = KAPLAN.scales_at(KAPLAN.published["kaplan-2020"])
    assert scales == pytest.approx({"N_c": 6.4e13, "D_c": 1.8e13})


def test_with_endless_data_or_size_it_becomes_the_laws_of_one_variable():
    endless = KAPLAN.value(PUBLISHED, {"params": 1e8, "tokens": 1e30})
    assert endless == pytest.approx((6.4e13 / 1e8) ** 0.076, rel=1e-6)
    endless = KAPLAN.value(PUBLISHED, {"params": 1e30, "tokens": 1e9})
    assert endless == pytest.approx((1.8e13 / 1e9) ** 0.103, rel=1e-6)


def test_noise_free_losses_give_back_the_law():
    fit = laws.fit(study(), law="kaplan", bootstrap=0)
    np.testing.assert_allclose(list(fit.params.values()), PUBLISHED, rtol=1e-5)
    assert fit.params["beta"] == 1.0


def test_the_optimum_is_the_minimum_along_the_budget():
    n = np.geomspace(1e6, 1e12, 200_001)
    losses = KAPLAN.value(PUBLISHED, {"params": n, "tokens": 1e21 / 6 / n})
    assert float(form_frontier(KAPLAN, PUBLISHED, 1e21).params) == pytest.approx(
        n[losses.argmin()], rel=1e-3
    )


def test_no_general_optimizer_finds_a_lower_value():
    table = study(noise=0.01, seed=3)
    values = {c: table[c].to_numpy() for c in ("params", "tokens")}
    fit = optimum(KAPLAN, values, table["loss"].to_numpy())

    def value(theta):
        constants = [*np.exp(theta[:2]), theta[2], 1.0, np.exp(theta[3])]
        r = np.abs(np.log(KAPLAN.value(constants, values) / table["loss"].to_numpy()))
        small = np.minimum(r, 1e-3)
        return (small * (r - small / 2)).sum()

    a, b, rho, _, outer = fit.constants_P
    best = np.array([np.log(a), np.log(b), rho, np.log(outer)])
    assert value(best) == pytest.approx(fit.value, rel=1e-9)
    for seed in range(3):
        start = best + 0.05 * np.random.default_rng(seed).normal(size=4)
        options = {"maxfev": 4000, "xatol": 1e-10, "fatol": 1e-14}
        found = minimize(lambda t: 1e3 * value(t), start, method="Nelder-Mead", options=options)
        assert found.fun / 1e3 >= fit.value * (1 - 1e-9)


def test_predictions_have_intervals_and_survive_storage():
    fit = laws.fit(study(noise=0.003), law="kaplan", bootstrap=100)
    made = fit.predict(params=1e10, tokens=1e11)
    truth = float(KAPLAN.value(PUBLISHED, {"params": 1e10, "tokens": 1e11}))
    assert made.law_interval[0] < truth < made.law_interval[1]
    assert laws.Fit.from_json(fit.to_json()).predict(params=1e10, tokens=1e11) == made
    assert fit.intervals["beta"] == (1.0, 1.0)


FLOORED = np.array([0.9, *PUBLISHED])


def test_a_floor_stands_outside_the_power():
    values = {"params": 1e8, "tokens": 1e10}
    assert KAPLAN_FLOOR.value(FLOORED, values) == pytest.approx(
        0.9 + KAPLAN.value(PUBLISHED, values)
    )


def test_noise_free_losses_with_a_floor_give_back_the_law():
    table = study()
    fit = laws.fit(table.assign(loss=table["loss"] + 0.9), law="kaplan-floor", bootstrap=0)
    np.testing.assert_allclose(list(fit.params.values()), FLOORED, rtol=1e-3)
    without = laws.fit(table, law="kaplan-floor", bootstrap=0)
    at = dict(params=1e11, tokens=1e12)
    assert without.predict(**at).loss == pytest.approx(
        laws.fit(table, law="kaplan", bootstrap=0).predict(**at).loss, rel=1e-3
    )
