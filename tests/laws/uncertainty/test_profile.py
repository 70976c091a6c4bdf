"""Profiles: their known Gaussian form, their agreement with the bootstrap, their open ends."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.uncertainty.profile import profile

TRUTH = np.array([1.2, 40.0, 90.0, 0.36, 0.33])


def study(noise=0.003, seed=0):
    rng = np.random.default_rng(seed)
    n = np.tile(np.geomspace(1e6, 1e9, 6), 4)
    d = n * np.repeat([4.0, 12.0, 36.0, 108.0], 6)
    loss = CHINCHILLA.value(TRUTH, {"params": n, "tokens": d})
    return pd.DataFrame(
        {"params": n, "tokens": d, "loss": loss * np.exp(noise * rng.normal(size=24))}
    )


def test_for_squares_it_is_the_likelihood_ratio():
    table = study()
    made = profile(table, "alpha", objective="log-squares")
    values = {c: table[c].to_numpy() for c in ("params", "tokens")}
    logs = np.log(table["loss"].to_numpy())

    def rss(alpha):
        def value(t):
            constants = [*np.exp(t[:3]), alpha, t[3]]
            return 1e4 * ((np.log(CHINCHILLA.value(constants, values)) - logs) ** 2).sum()

        start = np.array([*np.log(TRUTH[:3]), TRUTH[4]])
        start[1] += (alpha - TRUTH[3]) * np.log(values["params"]).mean()
        options = {"maxfev": 20_000, "maxiter": 20_000, "xatol": 1e-9, "fatol": 1e-12}
        return minimize(value, start, method="Nelder-Mead", options=options).fun

    best = rss(made.estimate)
    for end in made.interval:
        # n (RSS / RSS_min - 1), against chi-squared scaled by n / (n - p).
        deviance = 24 * (rss(end) / best - 1)
        assert deviance == pytest.approx(chi2.ppf(0.9, 1) * 24 / 19, rel=0.02)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("alpha", {}),
        ("E", {}),
        ("A", {}),
        ("a", {}),
        ("params", {"flops": 1e21}),
        ("frontier_loss", {"flops": 1e21}),
        ("loss", {"params": 1e10, "tokens": 1e11}),
    ],
)
def test_a_profile_agrees_with_the_bootstrap_of_the_published_points(name, at):
    table = pd.read_csv(Path(__file__).parents[1] / "data" / "chinchilla_240.csv")
    made = profile(table, name, **at)
    # A profile is of the law as it is, without the error of its form.
    fit = dataclasses.replace(laws.fit(table, bootstrap=200), form_error=None)
    drawn = {
        "a": fit.exponent_intervals["a"],
        "params": fit.optimal(1e21).params_interval,
        "frontier_loss": fit.optimal(1e21).loss_interval,
        "loss": fit.predict(params=1e10, tokens=1e11).law_interval,
        **fit.intervals,
    }[name]
    assert made.interval[0] < made.estimate < made.interval[1]
    width = math.log(made.interval[1] / made.interval[0])
    assert width == pytest.approx(math.log(drawn[1] / drawn[0]), rel=0.4)
    assert math.log(made.interval[0]) == pytest.approx(math.log(drawn[0]), abs=0.3 * width)


def test_what_the_data_do_not_bound_has_an_open_end():
    # Losses without a bend in sight: any floor well below them fits as well.
    n = np.tile(np.geomspace(1e6, 1e7, 6), 4)
    d = n * np.repeat([15.0, 20.0, 25.0, 30.0], 6)
    rng = np.random.default_rng(0)
    loss = 8 * n**-0.05 + 6 * d**-0.05
    table = pd.DataFrame(
        {"params": n, "tokens": d, "loss": loss * np.exp(0.01 * rng.normal(size=24))}
    )
    made = profile(table, "E")
    assert made.interval[0] < 1e-3 or math.isinf(made.interval[1])


def test_wrong_quantities_are_refused():
    with pytest.raises(InputError, match="did you mean 'alpha'"):
        profile(study(), "alpa")
    with pytest.raises(InputError, match="flops"):
        profile(study(), "params")
    with pytest.raises(InputError, match="tokens"):
        profile(study(), "loss", params=1e9)
