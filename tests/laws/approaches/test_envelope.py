"""The envelope of training curves, against curves of known surfaces without noise."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError

BESIROGLU = (1.8172, 482.01, 2085.43, 0.3478, 0.3658)
# The optimum lies at 20 tokens per parameter, and a is 1/2.
BALANCED = (1.2, 30.0, 30.0 * 20**0.3, 0.3, 0.3)
HORIZONS = (2.5, 6.3, 15.9, 40.0)


def curves(sizes, ratios, law, points=400):
    """Losses along the training of every size to every horizon, in tokens per parameter."""
    floor, a, b, alpha, beta = law
    runs = []
    for n in sizes:
        for ratio in ratios:
            d = n * ratio * np.arange(1, points + 1) / points
            loss = floor + a / n**alpha + b / d**beta
            columns = dict(params=n, tokens=d, flops=6 * n * d, loss=loss)
            runs.append(pd.DataFrame(columns).assign(run_id=f"{n:.0f} {ratio}"))
    return pd.concat(runs)


def fit(curves, **options):
    ends = curves.groupby("run_id").tail(1)
    options = dict(bootstrap=0) | options
    return laws.fit(ends, approach=1, training_curves=curves, **options)


def test_the_ends_of_the_grid_do_not_bend_the_exponent():
    sizes = (70e6, 130e6, 230e6, 460e6, 950e6, 1.9e9, 3.8e9, 6.5e9, 11e9)
    found = fit(curves(sizes, HORIZONS, BESIROGLU))
    assert found.exponents["a"] == pytest.approx(0.513, abs=0.01)
    assert {*found.frontier_points.params} == {*sizes[1:-1]}
    assert any("% of the FLOP values do not count" in note for note in found.diagnostics)
    assert any("of 7 sizes" in note for note in found.diagnostics)
    codes = {str(note.code) for note in found.diagnostics}
    assert codes >= {"compute-span", "envelope-runs", "envelope-left-out", "kaplan-stopping"}


def test_small_models_give_back_the_exponent_and_the_loss():
    found = fit(curves(np.geomspace(20e3, 115e3, 7), HORIZONS, BALANCED))
    assert found.exponents["a"] == pytest.approx(0.5, abs=0.002)
    assert found.exponents["b"] == pytest.approx(0.5, abs=0.002)
    assert found.params["E"] == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize("sizes", [(20e3,), (20e3, 40e3), (20e3, 40e3, 80e3, 115e3)])
def test_sizes_are_counted_rather_than_runs(sizes):
    with pytest.raises(InputError, match=f"of {len(sizes)} sizes.*needs 3: train more sizes"):
        fit(curves(sizes, (2.5, 5.0, 10.0, 20.0, 40.0), BALANCED))


def straggling(overshoot):
    """Every size at two budgets, of which the largest passes the larger one by some factor."""
    runs = []
    for n in np.geomspace(14e3, 231e3, 7):
        factor = overshoot if n > 2e5 else 1.0
        runs.append(curves([n], np.array([1e11, factor * 1e12]) / 6 / n**2, BALANCED))
    return pd.concat(runs)


def test_the_envelope_does_not_end_on_a_straggler():
    exact, found = fit(straggling(1.0)), fit(straggling(1.03))
    assert found.params == pytest.approx(exact.params, rel=1e-3)
    assert found.frontier_points.flops[-1] <= 1e12 * (1 + 1e-9)


def test_the_loss_never_rises_along_the_envelope():
    table = curves(np.geomspace(20e3, 115e3, 7), HORIZONS, BALANCED)
    # As a schedule that ends at every horizon does, the last steps of a run lower its loss.
    share = table.groupby("run_id").cumcount() / 399
    table["loss"] *= 1 - 0.03 * (share > 0.9) * (share - 0.9) / 0.1
    points = fit(table).frontier_points
    assert (np.diff(points.loss) <= 0).all()


@pytest.mark.parametrize("count", ["non_embedding", "active"])
def test_curves_without_the_count_are_refused(count):
    table = curves(np.geomspace(20e3, 115e3, 7), HORIZONS, BALANCED)
    ends = table.assign(params_non_embedding=1e3, params_active=1e3).groupby("run_id").tail(1)
    with pytest.raises(InputError, match=f"lack the column 'params_{count}'"):
        laws.fit(ends, approach=1, training_curves=table, count=count, bootstrap=0)


def test_held_out_losses_far_apart_are_not_smoothed():
    table = curves(np.geomspace(20e3, 115e3, 7), HORIZONS, BALANCED)
    exact = fit(table)
    steps = np.unique(np.geomspace(4, 400, 20).round()) - 1
    few = table[table.index.isin(steps)]
    found = fit(few.assign(loss_of="held_out"))
    assert found.exponents["a"] == pytest.approx(exact.exponents["a"], abs=0.01)
    assert found.params["E"] == pytest.approx(1.2, abs=0.05)
    blurred = fit(few.assign(loss_of="training"))
    assert abs(blurred.exponents["a"] - 0.5) > 3 * abs(found.exponents["a"] - 0.5)
