"""Named objectives; the Gaussian likelihood and the noise that every fit reports."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.uncertainty.noise_scale import gaussian, robust_scale

TRUTH = {"E": 1.2, "A": 40.0, "B": 90.0, "alpha": 0.36, "beta": 0.33}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform([6, 8], [9, 11], (48, 2)).T
    loss = CHINCHILLA.value(np.array(list(TRUTH.values())), {"params": params, "tokens": tokens})
    weight = rng.integers(1, 4, 48)
    frame = pd.DataFrame({"params": params, "tokens": tokens, "weight": weight})
    return frame.assign(loss=loss * np.exp(0.01 * rng.normal(size=48)))


def test_gaussian_likelihood_has_the_constants_of_least_squares(table):
    likely = laws.fit(table, objective="gaussian", bootstrap=0)
    least = laws.fit(table, objective="log-squares", bootstrap=0)
    assert likely.params == pytest.approx(least.params, rel=1e-9)
    assert likely.objective["name"] == "gaussian"
    assert "sigma" not in least.objective


def test_scale_and_likelihood_are_those_of_the_rows(table):
    fit = laws.fit(table, objective="gaussian", bootstrap=0)
    values = {name: table[name].to_numpy() for name in ("params", "tokens")}
    fitted = CHINCHILLA.value(np.array(list(fit.params.values())), values)
    residuals = np.log(table["loss"].to_numpy() / fitted)
    weight = table["weight"].to_numpy()
    sigma, likelihood = fit.objective["sigma"], fit.objective["log_likelihood"]
    assert sigma == pytest.approx(np.sqrt(np.average(residuals**2, weights=weight)), rel=1e-6)
    assert likelihood == pytest.approx(weight @ norm.logpdf(residuals, scale=sigma), rel=1e-9)
    # It is the most likely scale.
    for other in (0.99 * sigma, 1.01 * sigma):
        assert weight @ norm.logpdf(residuals, scale=other) < likelihood
    notes = " ".join(fit.diagnostics)
    assert f"{100 * sigma:.3g} % by maximum likelihood" in notes
    assert f"{likelihood:.2f}" in notes


@pytest.mark.parametrize("name", ["huber", "gaussian"])
def test_every_fit_reports_its_noise(table, name):
    fit = laws.fit(table, objective=name, bootstrap=0)
    assert fit.objective["noise"] == pytest.approx(0.01, rel=0.4)
    assert json.loads(fit.to_json())["objective"]["noise"] == fit.objective["noise"]


def test_robust_scale_is_that_of_a_gaussian_whatever_the_outliers():
    residuals = np.random.default_rng(0).normal(3.0, 0.5, 20_001)
    residuals[:1000] = 1e6
    assert robust_scale(residuals) == pytest.approx(0.5, rel=0.1)


def test_rows_that_a_robust_fit_passes_through_do_not_hide_the_noise():
    rng = np.random.default_rng(0)
    residuals = rng.normal(size=(4000, 16))
    residuals[:, :5] = 0
    scales = [robust_scale(row, 5) for row in residuals]
    assert np.median(scales) == pytest.approx(1, rel=0.15)
    assert np.median([robust_scale(row) for row in residuals]) < 0.75


def test_a_perfect_fit_is_infinitely_likely():
    assert gaussian(np.zeros(3), np.ones(3)) == {"sigma": 0.0, "log_likelihood": np.inf}


def test_what_computes_the_same_compiles_once():
    assert objective_named("gaussian") == objective_named("log-squares")
    assert hash(objective_named("gaussian")) == hash(objective_named("log-squares"))
    assert objective_named("gaussian") != objective_named("squares")


def test_unknown_objectives_name_the_nearest():
    with pytest.raises(InputError, match="did you mean 'gaussian'"):
        objective_named("gausian")
