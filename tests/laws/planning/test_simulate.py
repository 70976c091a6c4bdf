"""Simulated losses have the requested noise, and simulated studies the fits of real ones."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.planning.design_checks import score
from scaling_jax.laws.planning.design_score import Cells
from scaling_jax.laws.planning.known import KnownLaw, law_of, published_law
from scaling_jax.laws.planning.noise import Noise
from scaling_jax.laws.planning.simulate import simulate_losses, simulate_study
from scaling_jax.laws.planning.simulation_text import simulation_sentences

LAW = published_law("chinchilla-besiroglu")


def isoflop(budgets=(1e18, 1e19, 1e20), n_sizes=5, width=3.0):
    rows = []
    for budget in budgets:
        optimum = LAW.optimal(budget)[0]
        for params in np.geomspace(optimum / width, optimum * width, n_sizes):
            rows.append((params, budget / (6 * params), budget))
    return pd.DataFrame(rows, columns=["params", "tokens", "budget"])


def log_ratio(noise, cells=None, seed=0):
    """Log of simulated losses over the law's, row by row."""
    cells = isoflop() if cells is None else cells
    table = simulate_losses(cells, LAW, noise, seed)
    return np.log(table["loss"] / LAW.loss(table["params"], table["tokens"])).to_numpy(), table


def many_cells(n=20_000):
    return pd.DataFrame({"params": np.full(n, 1e9), "tokens": np.full(n, 20e9)})


def test_without_noise_losses_are_the_laws():
    ratio, table = log_ratio(Noise(0.0))
    assert np.abs(ratio).max() < 1e-14
    np.testing.assert_allclose(table["flops"], table["budget"])
    assert table["run_id"].is_unique
    assert set(table["status"]) == {"finished"}


def test_scatter_has_the_scale_that_was_asked_for():
    ratio, _ = log_ratio(Noise(0.003), many_cells())
    assert ratio.std() == pytest.approx(0.003, rel=0.03)
    assert abs(ratio.mean()) < 1e-4


def test_few_degrees_of_freedom_are_heavy_tails():
    ratio, _ = log_ratio(Noise(0.005, freedom=3.0), many_cells())
    # The quartiles of Student's t with 3 degrees of freedom lie at 0.765, its 99.9 % at 10.21.
    assert np.quantile(ratio, 0.75) == pytest.approx(0.765 * 0.005, rel=0.05)
    assert np.quantile(ratio, 0.999) == pytest.approx(10.21 * 0.005, rel=0.3)


def test_outliers_only_raise_losses():
    ratio, _ = log_ratio(Noise(0.0, outliers=0.05, outlier_size=0.05), many_cells())
    assert np.mean(ratio > 0.04) == pytest.approx(0.05, rel=0.1)
    assert np.expm1(ratio.max()) == pytest.approx(0.05)
    assert ratio.min() > -1e-12


def test_a_seed_moves_all_its_runs_together():
    ratio, table = log_ratio(Noise(0.0, seeds=3, seed_scale=0.01))
    by_seed = pd.Series(ratio).groupby(table["seed"].to_numpy())
    assert len(table) == 3 * len(isoflop())
    assert by_seed.std().max() < 1e-12
    assert by_seed.mean().std() > 1e-3


def test_only_large_models_with_few_tokens_are_undertrained():
    cells = pd.DataFrame(
        {"params": [1e7, 1e9, 1e9, 1e10], "tokens": [2e7, 2e9, 2e10, 2e10]}
    )  # tokens per parameter 2, 2, 20, 2; decades above the smallest 0, 2, 2, 3
    ratio, _ = log_ratio(Noise(0.0, undertrained=0.01), cells)
    np.testing.assert_allclose(np.expm1(ratio), [0, 0.02, 0, 0.03], atol=1e-12)


def test_digitised_losses_lie_on_steps():
    _, table = log_ratio(Noise(0.003, quantum=0.01))
    steps = table["loss"] / 0.01
    np.testing.assert_allclose(steps, steps.round(), atol=1e-9)
    assert table["loss"].nunique() > 5


def test_a_seed_gives_the_same_losses_again():
    first, second, other = (log_ratio(Noise(), seed=seed)[0] for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).all()


@pytest.mark.parametrize(
    "wrong",
    [{"scale": -1}, {"outliers": 1.5}, {"seeds": 0}, {"freedom": 0}, {"quantum": float("nan")}],
)
def test_impossible_noise_is_refused(wrong):
    with pytest.raises(InputError, match=f"noise {next(iter(wrong))}"):
        Noise(**wrong)


@pytest.mark.parametrize("resampling", ["rows", "residuals"])
def test_a_simulated_study_says_what_its_fit_says(resampling):
    cells, noise, seed = isoflop(n_sizes=7), Noise(0.002), 3
    options = dict(bootstrap=40, resampling=resampling, seed=seed)
    done = simulate_study(cells, LAW, noise=noise, n_studies=1, **options)
    table = simulate_losses(cells, LAW, noise, seed)
    # The error of the form is beside a simulation's intervals, not in them.
    fit = dataclasses.replace(laws.fit(table, **options), form_error=None)
    row = done.studies.iloc[0]
    best = fit.optimal(done.flops)
    assert row["a"] == pytest.approx(fit.exponents["a"], rel=1e-6)
    assert row["params"] == pytest.approx(best.params, rel=1e-5)
    assert row["a_low"] == pytest.approx(fit.exponent_intervals["a"][0], rel=1e-4)
    assert row["params_high"] == pytest.approx(best.params_interval[1], rel=1e-4)
    params, tokens, _ = LAW.optimal(done.flops)
    prediction = fit.predict(params=params, tokens=tokens)
    assert row["loss"] == pytest.approx(prediction.loss, rel=1e-6)
    assert row["measured_low"] == pytest.approx(prediction.interval[0], rel=1e-4)


def test_target_and_truth_are_of_ten_times_the_largest_budget():
    done = simulate_study(isoflop(), LAW, noise=Noise(0.001), n_studies=3, bootstrap=20)
    params, tokens, loss = LAW.optimal(1e21)
    assert done.flops == pytest.approx(1e21)
    assert done.truth["params"] == pytest.approx(params)
    assert done.truth["tokens"] == pytest.approx(tokens)
    assert done.truth["loss"] == pytest.approx(loss)
    assert done.truth["a"] + done.truth["b"] == pytest.approx(1)
    assert done.training_flops == pytest.approx(5 * (1e18 + 1e19 + 1e20))


def test_error_and_width_grow_with_the_noise():
    quiet, loud = (
        simulate_study(isoflop(), LAW, noise=Noise(s), n_studies=30, bootstrap=40).summary()
        for s in (0.0005, 0.002)
    )
    for name in ("a", "loss"):
        assert loud.error[name] / quiet.error[name] == pytest.approx(4, rel=0.4)
        assert loud.width[name] / quiet.width[name] == pytest.approx(4, rel=0.4)
        # Noise that is louder hides more of another form.
        assert loud.form[name] > 2 * quiet.form[name] > 0
    assert loud.form["measured"] == loud.form["loss"]
    assert quiet.error["params"] < loud.error["params"]
    assert (loud.coverage > 0.6).all()


def test_the_error_of_the_form_is_that_of_the_designs_score():
    cells = isoflop()
    done = simulate_study(cells, LAW, noise=Noise(0.001), n_studies=1, bootstrap=20)
    scored = score(Cells.of(cells["params"], cells["tokens"]), LAW, noise=0.001).doubts
    assert done.form["params"] == pytest.approx(scored["params"].form)
    assert done.form["loss"] == pytest.approx(done.truth["loss"] * np.expm1(scored["loss"].form))


def test_coverage_counts_intervals_that_hold_the_truth():
    done = simulate_study(isoflop(), LAW, noise=Noise(0.001), n_studies=8, bootstrap=20)
    held = done.studies.eval("a_low <= @done.truth['a'] <= a_high")
    assert done.summary().coverage["a"] == held.mean()


def test_verification_runs_are_paid_for_but_not_fitted():
    cells = isoflop().assign(role="grid")
    check = cells.iloc[[-1]].assign(role="verification", tokens=1e12, budget=6e21)
    with_check = pd.concat([cells, check], ignore_index=True)
    arguments = dict(noise=Noise(0.001), n_studies=3, bootstrap=20, flops=1e21)
    plain = simulate_study(cells, LAW, **arguments)
    checked = simulate_study(with_check, LAW, **arguments)
    pd.testing.assert_frame_equal(plain.studies, checked.studies)
    extra = 6 * check["params"].item() * 1e12
    assert checked.training_flops == pytest.approx(plain.training_flops + extra)


def test_approach_2_has_an_optimum_and_no_loss():
    done = simulate_study(isoflop(), LAW, noise=Noise(0.0), n_studies=1, bootstrap=20, approach=2)
    summary = done.summary()
    assert set(summary.index) == {"a", "b", "params", "tokens"}
    assert done.form == {}
    assert summary.form.isna().all()
    assert summary.error["a"] < 1e-3
    assert summary.error["params"] < 0.02


def test_studies_that_cannot_be_fitted_are_counted():
    cells = isoflop(n_sizes=4, width=1.2)
    done = simulate_study(cells, LAW, noise=Noise(0.01), n_studies=20, bootstrap=20, approach=2)
    assert sum(done.refused.values()) + len(done.studies) == 20
    assert sum(done.refused.values()) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"approach": 1}, "approach 1 cannot be simulated"),
        ({"n_studies": 0}, "at least 1"),
        ({"bootstrap": 3}, "3 resamples"),
        ({"level": 1.5}, "level"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        simulate_study(isoflop(), LAW, noise=Noise(), **options)


def test_cells_that_no_fit_can_use_are_refused():
    with pytest.raises(InputError, match="distinct"):
        simulate_study(isoflop().iloc[:4], LAW, noise=Noise())
    with pytest.raises(InputError, match="lack tokens"):
        simulate_study(isoflop()[["params"]], LAW, noise=Noise())
    with pytest.raises(InputError, match="positive"):
        simulate_study(isoflop().assign(tokens=-1.0), LAW, noise=Noise())


def test_known_laws_are_checked():
    with pytest.raises(InputError, match="has the constants E, A, B, alpha, beta"):
        KnownLaw(CHINCHILLA, {"E": 1.0}, "nowhere")
    with pytest.raises(InputError, match="did you mean 'chinchilla-hoffmann'"):
        published_law("chinchilla-hofmann")
    table = simulate_losses(isoflop(), LAW, Noise(0.0), 0)
    with pytest.raises(InputError, match="approach 2"):
        law_of(laws.fit(table, approach=2, bootstrap=0))
    again = law_of(laws.fit(table, bootstrap=0))
    assert again.loss(1e9, 1e10) == pytest.approx(LAW.loss(1e9, 1e10), rel=1e-9)


def test_cells_that_share_steps_cost_what_they_take_themselves():
    cells = isoflop().assign(flops=lambda cells: 6 * cells.params * cells.tokens)
    shared = cells.assign(flops_spent=cells.flops / 4)
    arguments = dict(noise=Noise(0.001), n_studies=3, bootstrap=20, flops=1e21)
    apart, together = (simulate_study(each, LAW, **arguments) for each in (cells, shared))
    pd.testing.assert_frame_equal(apart.studies, together.studies)
    assert together.training_flops == pytest.approx(apart.training_flops / 4)


def test_a_simulation_speaks_in_the_unit_of_its_law():
    for unit, text in (("bits per byte", "bits per byte, a measured"), ("", ", a measured")):
        law = dataclasses.replace(LAW, unit=unit)
        done = simulate_study(isoflop(), law, noise=Noise(0.001), n_studies=2, bootstrap=20)
        found = " ".join(simulation_sentences(done))
        assert text in found
        assert "nats" not in found


@pytest.mark.parametrize(("floor", "seed"), [(1.6, 8), (0.0, 9)])
def test_simulated_fits_leave_and_enter_a_floor_of_zero_as_real_ones_do(floor, seed):
    cells = pd.DataFrame({"params": np.repeat([1e7, 3.16e7, 1e8], 5)})
    cells["tokens"] = cells["params"] * np.tile(np.geomspace(4, 120, 5), 3)
    law = KnownLaw(CHINCHILLA, dict(E=floor, A=12.0, B=100.0, alpha=0.13, beta=0.24), "made up")
    noise = Noise(0.004)
    done = simulate_study(cells, law, noise=noise, n_studies=1, bootstrap=60, seed=seed)
    fit = laws.fit(simulate_losses(cells, law, noise, seed), bootstrap=60, seed=seed)
    row = done.studies.iloc[0]
    assert (fit.params["E"] == 0) == (floor > 0)
    assert row["a"] == pytest.approx(fit.exponents["a"], rel=1e-6)
    ends = row[["a_low", "a_high"]].to_numpy(float)
    assert ends == pytest.approx(fit.exponent_intervals["a"], rel=0.1)
