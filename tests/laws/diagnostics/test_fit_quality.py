"""Notes on a fit: trends, curvature, drifting grids, resampled runs, noise."""

import math

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.diagnostics.residual_trends import trends
from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.select import usable_rows

TRUTH = np.array([1.2, 40.0, 90.0, 0.36, 0.33])


def grid(n_rows=60, **columns):
    rng = np.random.default_rng(1)
    params, tokens = 10 ** rng.uniform([6, 8], [9, 11], (n_rows, 2)).T
    frame = pd.DataFrame({"params": params, "tokens": tokens, "loss": 3 + rng.random(n_rows)})
    return usable_rows(checked(frame.assign(**columns)))


def noise(n_rows=60, scale=0.003):
    return scale * np.random.default_rng(2).normal(size=n_rows)


@pytest.mark.parametrize(
    ("name", "others", "log"),
    [
        ("N", "DC", lambda rows: np.log10(rows.params)),
        ("D", "NC", lambda rows: np.log10(rows.tokens)),
        ("C", "ND", lambda rows: np.log10(rows.params * rows.tokens)),
    ],
)
def test_a_trend_is_reported_once_in_the_variable_that_drives_it(name, others, log):
    rows = grid()
    (note,) = trends(rows, noise() - 0.004 * log(rows))
    assert f"per decade of {name} (" in note
    assert not any(f"decade of {other} (" in note for other in others)
    slope = float(note.split("trend by ")[1].split(" %")[0])
    assert slope == pytest.approx(-0.4, abs=0.15)


def test_two_trends_of_different_strength_are_both_reported():
    rows = grid()
    (note,) = trends(rows, noise() + 0.01 * np.log10(rows.params) - 0.02 * np.log10(rows.tokens))
    assert note.count("decade of") == 2


@pytest.mark.parametrize(("sign", "word"), [(1, "above"), (-1, "below")])
def test_curvature_in_compute_is_reported_with_its_size(sign, word):
    rows = grid()
    x = np.log10(rows.flops)
    half = np.ptp(x) / 2
    (note,) = trends(rows, noise() + sign * 0.02 * ((x - x.mean()) / half) ** 2)
    assert f"% {word} the law" in note
    assert float(note.split("losses lie ")[1].split(" %")[0]) == pytest.approx(2, abs=0.6)


def test_noise_rounding_and_outliers_are_no_trend():
    rows = grid()
    x = np.log10(rows.flops)
    assert trends(rows, noise()) == ()
    assert trends(rows, 1e-9 * x) == ()
    off = noise()
    off[int(rows.flops.argmax())] += 1.0
    assert trends(rows, off) == ()


def test_rows_of_one_run_count_once():
    """Rows that repeat a run's residual make a chance slope look certain, runs do not."""
    rng = np.random.default_rng(5)
    run = np.repeat(np.arange(8), 12)
    params, tokens = (10.0 ** rng.uniform(6, 9, 8))[run], np.geomspace(1e8, 1e11, 96)
    frame = pd.DataFrame({"params": params, "tokens": tokens, "loss": 3.0, "run_id": run})
    own = 0.01 * rng.normal(size=8)[run] + 1e-4 * rng.normal(size=96)
    apart = usable_rows(checked(frame.drop(columns="run_id")))
    assert trends(apart, own) != ()
    assert trends(usable_rows(checked(frame)), own) == ()


def isoflop(drift, offset=0.0, budgets=5, noise=0.002):
    """A study whose middle size goes from `exp(offset)` times N_opt to `drift` times that."""
    rng, rows = np.random.default_rng(0), []
    for share, c in zip(np.linspace(0, 1, budgets), np.geomspace(1e17, 1e19, budgets), strict=True):
        centre = form_frontier(CHINCHILLA, TRUTH, c).params * math.exp(offset) * drift**share
        for n in centre * np.geomspace(1 / 6, 6, 9):
            loss = float(CHINCHILLA.value(TRUTH, {"params": n, "tokens": c / 6 / n}))
            rows.append((n, c / 6 / n, loss * math.exp(noise * rng.normal()), c))
    return pd.DataFrame(rows, columns=["params", "tokens", "loss", "budget"])


@pytest.mark.parametrize("approach", [2, 3])
def test_a_grid_that_drifts_off_centre_is_reported_with_its_factor(approach):
    notes = laws.fit(isoflop(3.0), approach=approach, bootstrap=0).diagnostics
    (drifts,) = [note for note in notes if "drifts off centre" in note]
    factor = float(drifts.split("by a factor of ")[1].split(";")[0])
    assert factor == pytest.approx(3, rel=0.3)
    assert ("bends a" in drifts) == (approach == 2)


def test_a_drift_within_the_interval_of_the_exponent_is_not_reported():
    noisy = isoflop(1.0, noise=0.03)
    assert any("drifts off" in note for note in laws.fit(noisy, bootstrap=0).diagnostics)
    uncertain = laws.fit(noisy, bootstrap=50, resampling="rows").diagnostics
    assert not any("drifts off" in note for note in uncertain)


@pytest.mark.parametrize("offset", [0.0, 0.7])
@pytest.mark.parametrize("approach", [2, 3])
def test_a_grid_that_is_off_by_one_factor_throughout_does_not_drift(approach, offset):
    notes = laws.fit(isoflop(1.0, offset), approach=approach, bootstrap=0).diagnostics
    assert not any("drifts off centre" in note for note in notes)


def test_too_few_resampled_runs_are_reported():
    table = isoflop(1.0)
    few = table.assign(run_id=[f"r{i % 5}" for i in range(len(table))])
    notes = laws.fit(few, bootstrap=20, resampling="runs").diagnostics
    assert any("resampling 5 runs of 9 to 9 rows" in note for note in notes)
    each = table.assign(run_id=[f"r{i}" for i in range(len(table))])
    notes = laws.fit(each, bootstrap=20, resampling="runs").diagnostics
    assert not any("from resampling" in note for note in notes)


def test_scatter_and_outliers_are_reported_with_their_row():
    table = isoflop(1.0)
    table.loc[7, "loss"] *= 1.2
    notes = " ".join(laws.fit(table, bootstrap=0).diagnostics)
    assert "at row 7 (" in notes
    assert "Huber's loss bounds their pull" in notes
    scatter = float(notes.split("scatter about the law by ")[1].split(" %")[0])
    assert scatter == pytest.approx(0.2, rel=0.4)
    notes = " ".join(laws.fit(table, objective="gaussian", bootstrap=0).diagnostics)
    assert "squared error lets them pull" in notes


def test_rounding_of_exact_losses_is_no_outlier():
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    loss = CHINCHILLA.value(TRUTH, {"params": n, "tokens": d})
    loss[7] *= 1 + 1e-9
    table = {"params": n, "tokens": d, "loss": loss}
    assert not any("spreads off the law" in n for n in laws.fit(table, bootstrap=0).diagnostics)
    loss[7] *= 1 + 1e-3
    assert any("+0.1 % at row 7" in n for n in laws.fit(table, bootstrap=0).diagnostics)
