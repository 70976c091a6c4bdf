"""Refits from an optimum at which a term has vanished: the term comes back where it should."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.uncertainty.profile import profile

TRUTH = np.array([1.6, 12.0, 100.0, 0.13, 0.24])
A = 0.24 / (0.13 + 0.24)
# Studies in which the lowest objective has no floor, though the truth does.
SEEDS = (2, 8)


def study(seed):
    """3 sizes at 5 horizons with noise of 0.4 %."""
    n = np.repeat([1e7, 3.16e7, 1e8], 5)
    d = n * np.tile(np.geomspace(4, 120, 5), 3)
    loss = CHINCHILLA.value(TRUTH, {"params": n, "tokens": d})
    noise = 0.004 * np.random.default_rng(seed).normal(size=15)
    return pd.DataFrame({"params": n, "tokens": d, "loss": loss * np.exp(noise)})


def as_function(
    params, tokens, *, E=(0.5, 3), A=(1, 100), B=(1, 1e4), alpha=(0.05, 1), beta=(0.05, 1)
):
    return E + A / params**alpha + B / tokens**beta


@pytest.mark.parametrize("law", ["chinchilla", as_function])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_floor_that_vanished_comes_back_in_the_resamples(seed, law):
    fit = laws.fit(study(seed), law=law, bootstrap=100)
    assert fit.params["E"] < 1e-3
    low, high = fit.intervals["E"]
    assert low < 1e-3
    assert high > TRUTH[0]
    drawn_B = fit.draws_BxP[:, 4] / (fit.draws_BxP[:, 3] + fit.draws_BxP[:, 4])
    low, high = np.quantile(drawn_B, [0.05, 0.95])
    assert low < A < high
    assert any("E vanished" in note and "do not bound" in note for note in fit.diagnostics)


def test_a_profile_from_a_vanished_floor_bounds_it_from_above():
    table = study(SEEDS[0])
    low, high = profile(table, "E").interval
    assert low < 1e-3
    assert 0.5 < high < table["loss"].min()
    low, high = profile(table, "a").interval
    assert low < A


def test_where_every_term_takes_part_refits_start_at_the_optimum_alone():
    from scaling_jax.laws.solver.optimum import optimum

    n = np.repeat(np.geomspace(1e7, 1e9, 4), 4)
    d = n * np.tile([4.0, 12.0, 36.0, 108.0], 4)
    values = {"params": n, "tokens": d}
    point = optimum(CHINCHILLA, values, CHINCHILLA.value(TRUTH, values))
    assert point.vanished == ()
    assert point.starts_SxP.shape == (1, 5)


def test_a_floor_that_vanished_is_zero():
    fit = laws.fit(study(SEEDS[0]), bootstrap=20)
    assert fit.params["E"] == 0
    assert "  E               0  90 % interval 0 to" in str(fit)
    again = laws.Fit.from_json(fit.to_json())
    assert again.intervals == fit.intervals
    assert again.predict(params=1e8, tokens=1e10) == fit.predict(params=1e8, tokens=1e10)
