"""Residuals as a sample of the noise, and resamples made of them."""

from pathlib import Path

import numpy as np
import pytest

from scaling_jax import laws
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.objectives import objective_named
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.uncertainty import bootstrap
from scaling_jax.laws.uncertainty.bootstrap import noise_of_rows, resamples

TRUTH = CHINCHILLA.ordered(CHINCHILLA.published["besiroglu-2024"])


def table(noise_N):
    n = np.repeat(np.geomspace(5e7, 2e9, 6), 5)
    d = n * np.tile(np.geomspace(5, 80, 5), 6)
    values = {"params": n, "tokens": d}
    return values, CHINCHILLA.value(TRUTH, values) * np.exp(noise_N)


# An unseen row lies off a law of least absolute values by its own noise and by the law's, whose
# variance is pi / 2 of its leverage (5 constants, 30 rows).
@pytest.mark.parametrize(
    ("objective", "expected"), [("huber", np.sqrt(1 + np.pi / 2 * 5 / 30)), ("log-squares", 1.0)]
)
def test_the_noise_of_rows_that_pin_the_law_is_not_taken_for_small(objective, expected):
    rng = np.random.default_rng(0)
    fitted, restored = [], []
    for _ in range(8):
        noise_N = 0.004 * rng.normal(size=30)
        chosen = objective_named(objective)
        point = optimum(CHINCHILLA, *table(noise_N), objective=chosen)
        assert point.leverage_N.min() > 0
        assert point.leverage_N.sum() == pytest.approx(5, rel=1e-6)
        fitted.append(np.mean(np.abs(point.residuals_N)) / np.mean(np.abs(noise_N)))
        restored.append(np.mean(np.abs(noise_of_rows(point, chosen))) / np.mean(np.abs(noise_N)))
    assert np.mean(fitted) < 0.95
    assert np.mean(restored) == pytest.approx(expected, abs=0.06)


def test_a_row_keeps_the_size_of_its_own_noise():
    noise_N = np.geomspace(1e-4, 1e-1, 30)
    loss_BxN, weights_BxN = resamples("residuals", np.ones(30), np.ones(30), noise_N, 4000, 0)
    assert (weights_BxN == 1).all()
    np.testing.assert_allclose(np.abs(np.log(loss_BxN)), np.tile(noise_N, (4000, 1)))
    np.testing.assert_allclose((np.log(loss_BxN) > 0).mean(), 0.5, atol=0.01)


def test_a_fit_of_a_quantile_has_that_share_of_the_resamples_below():
    quantile = objective_named("lower-envelope").quantile
    loss_BxN, _ = resamples(
        "residuals", np.ones(30), np.ones(30), np.full(30, 0.01), 4000, 0, quantile=quantile
    )
    assert (loss_BxN < 1).mean() == pytest.approx(0.2, abs=0.01)


def test_unequal_noise_widens_intervals_as_much_as_resampled_rows_do():
    # The 240 points are noisiest where they pin the law.
    points = Path(__file__).parents[1] / "data" / "chinchilla_240.csv"
    rows, residuals = (
        laws.fit(points, bootstrap=400, resampling=kind).intervals for kind in ("rows", "residuals")
    )
    for name in ("E", "alpha", "beta"):
        assert np.ptp(residuals[name]) == pytest.approx(np.ptp(rows[name]), rel=0.25)


@pytest.mark.parametrize("resampling", ["residuals", "rows"])
def test_blocks_of_resamples_are_of_one_stream(monkeypatch, resampling):
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform([7, 9], [10, 12], (40, 2)).T
    loss = (1.7 + 400 / n**0.34 + 410 / d**0.28) * np.exp(0.003 * rng.normal(size=40))
    table = {"params": n, "tokens": d, "loss": loss}
    whole = laws.fit(table, bootstrap=30, resampling=resampling).draws_BxP
    monkeypatch.setattr(bootstrap, "_MOST_VALUES", 7 * 40)
    parts = laws.fit(table, bootstrap=30, resampling=resampling).draws_BxP
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
