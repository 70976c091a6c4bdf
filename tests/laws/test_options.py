"""Objectives, held constants, weights and clusters of rows."""

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.approaches import backtest as backtest_module
from scaling_jax.laws.approaches import frontier_loss as frontier_module
from scaling_jax.laws.approaches import isoflop_bias as bias_module
from scaling_jax.laws.approaches import isoflop_surface as surface_module
from scaling_jax.laws.approaches import parametric
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.objectives import OBJECTIVES
from scaling_jax.laws.options import Options
from scaling_jax.laws.solver.optimum import PointFit
from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.select import usable_rows
from scaling_jax.laws.uncertainty import profile as profile_module

TRUTH = np.array([1.2, 40.0, 90.0, 0.36, 0.33])


def study(noise=0.003, seed=0, repeats=1):
    rng = np.random.default_rng(seed)
    n = np.tile(np.geomspace(1e6, 1e9, 6), 4)
    d = n * np.repeat([4.0, 12.0, 36.0, 108.0], 6)
    loss = CHINCHILLA.value(TRUTH, {"params": n, "tokens": d})
    table = pd.DataFrame({"params": n, "tokens": d, "loss": loss})
    table = pd.concat([table] * repeats, ignore_index=True)
    return table.assign(loss=table["loss"] * np.exp(noise * rng.normal(size=len(table))))


def test_options_have_the_same_defaults_everywhere():
    arguments = inspect.signature(laws.fit).parameters
    for option in dataclasses.fields(Options):
        default = getattr(Options(), option.name) or None
        assert (arguments[option.name].default or None) == default, option.name


@pytest.mark.parametrize(
    ("approach", "option", "words"),
    [
        (1, {"law": "chinchilla"}, "law chinchilla.*fits no law.*approach 3"),
        (2, {"fixed": {"E": 1.2, "alpha": 0.3}}, "held constants E=1.2, alpha=0.3"),
        (2, {"objective": "gaussian"}, "objective gaussian"),
        (1, {"resampling": "rows"}, "always resamples runs"),
        (2, {"resampling": "residuals"}, "always resamples residuals"),
        (3, {"isoflop_curve": "akima"}, "curve akima.*approach 2"),
        (1, {"corrected": True}, "correction has no effect.*approach 2"),
    ],
)
def test_an_option_without_effect_is_refused(approach, option, words):
    with pytest.raises(InputError, match=words):
        laws.fit(study(), approach=approach, **option)


def test_few_values_of_a_variable_are_enough_where_its_exponent_alone_is_fitted():
    n, d = (grid.ravel() for grid in np.meshgrid([1e7, 1e9], np.geomspace(1e9, 1e11, 5)))
    table = {"params": n, "tokens": d, "loss": 1.7 + 400 / n**0.34 + 410 / d**0.28}
    with pytest.raises(InputError, match=r"2 distinct values of params.*at least 3"):
        laws.fit(table, bootstrap=0)
    held = laws.fit(table, bootstrap=0, fixed={"alpha": 0.34})
    assert held.params["A"] == pytest.approx(400, rel=1e-3)
    table["peak_lr"] = 3 * n**-0.3 * d**0.1
    rates = laws.fit(table, law="learning-rate", bootstrap=0)
    assert sorted(rates.params.values()) == pytest.approx([-0.3, 0.1, 3], rel=1e-3)


def penalty(r, objective):
    size = np.minimum(np.abs(r), objective.delta)
    side = np.where(r > 0, objective.above, 1.0)
    return side * size * (np.abs(r) - size / 2)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_general_optimizer_finds_a_lower_value(name):
    table, objective = study(), OBJECTIVES[name]
    fit = laws.fit(table, objective=name, bootstrap=0)
    values = {c: table[c].to_numpy() for c in ("params", "tokens")}
    measured = table["loss"].to_numpy()

    def value(theta):
        predicted = CHINCHILLA.value([*np.exp(theta[:3]), *theta[3:]], values)
        logs = objective.space == "log"
        r = np.log(predicted / measured) if logs else predicted - measured
        return penalty(r, objective).sum()

    best = np.array(
        [*np.log(list(fit.params.values())[:3]), fit.params["alpha"], fit.params["beta"]]
    )
    assert value(best) == pytest.approx(fit.objective["value"], rel=1e-9)
    scale = 1 / fit.objective["value"]
    for start in (best, best + 0.01):
        found = minimize(
            lambda t: scale * value(t), start, method="Nelder-Mead", options={"maxfev": 4000}
        )
        assert found.fun >= 1 - 1e-7


def test_the_lower_envelope_lies_below_the_middle():
    table = study(noise=0.01)
    middle, low = (laws.fit(table, objective=o, bootstrap=0) for o in ("huber", "lower-envelope"))
    at = dict(params=1e8, tokens=2e9)
    assert low.predict(**at).loss < middle.predict(**at).loss


def test_a_held_floor_stays_and_the_rest_fits_around_it():
    table = study()
    free = laws.fit(table, bootstrap=0)
    held = laws.fit(table, bootstrap=50, fixed={"E": 1.0})
    assert held.params["E"] == pytest.approx(1.0)
    assert held.intervals["E"] == pytest.approx((1.0, 1.0))
    assert held.objective["value"] > free.objective["value"]
    assert held.intervals["alpha"][0] < held.intervals["alpha"][1]
    again = laws.fit(table, bootstrap=0, fixed={"E": free.params["E"], "beta": free.params["beta"]})
    assert again.objective["value"] == pytest.approx(free.objective["value"], rel=1e-9)


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"A": 3.0}, "held"),
        ({"gamma": 1.0}, "no 'gamma'"),
        ({"E": 9.0}, "floor"),
        ({"E": 0}, "E 0"),
    ],
)
def test_what_cannot_be_held_is_refused(fixed, words):
    with pytest.raises(InputError, match=words):
        laws.fit(study(), fixed=fixed)


def test_a_weight_counts_a_row_as_often():
    table = study()
    weight = 1.0 + (np.arange(len(table)) % 3 == 0)
    weighted = laws.fit(table.assign(weight=weight), bootstrap=0)
    written_out = pd.concat([table, table[weight == 2]], ignore_index=True)
    assert weighted.params == pytest.approx(laws.fit(written_out, bootstrap=0).params, rel=1e-5)
    with pytest.raises(InputError, match="weight"):
        laws.fit(table.assign(weight=-1.0))


def test_several_rows_of_a_run_widen_the_intervals():
    table = study()
    # Four rows a run that share its deviation carry the information of one.
    copies = pd.concat([table.assign(run_id=table.index.astype(str))] * 4, ignore_index=True)
    apart = laws.fit(copies, bootstrap=100, resampling="residuals")
    whole = laws.fit(copies, bootstrap=100)
    assert not any("whole runs were resampled" in note for note in apart.diagnostics)
    assert any("whole runs were resampled" in note for note in whole.diagnostics)
    rows, runs = apart.exponent_intervals["a"], whole.exponent_intervals["a"]
    assert runs[1] - runs[0] > 1.5 * (rows[1] - rows[0])
    with pytest.raises(InputError, match="run_id"):
        laws.fit(table, resampling="runs")


def test_a_loss_that_rises_has_no_optimum_and_says_so():
    table = study()
    loss = 2 + (table["params"] / 1e9) ** 0.3 + 20 / table["tokens"] ** 0.3
    fit = laws.fit(table.assign(loss=loss), bootstrap=20)
    assert fit.diagnostics[0].startswith("The fitted loss rises with params (alpha -0.3)")
    assert fit.exponents == {}
    with pytest.raises(InputError, match=r"rises with params.*units"):
        fit.optimal(1e21)


def test_a_loss_of_compute_that_rises_is_said_first():
    flops = np.geomspace(1e18, 1e21, 8)
    fit = laws.fit({"flops": flops, "loss": flops**0.05}, law="kaplan-flops", bootstrap=0)
    assert fit.diagnostics[0] == "The fitted loss rises with flops."


def test_a_weight_that_drowns_the_other_rows_is_refused():
    table = study()
    with pytest.raises(InputError, match="weights within a factor"):
        laws.fit(table.assign(weight=np.where(table.index == 3, 1e30, 1.0)))


@pytest.mark.parametrize("law", ["kaplan-tokens", "optimal-params", "overtraining"])
def test_a_count_for_a_law_without_params_is_refused(law):
    table = study().assign(params_non_embedding=1e6, flops=lambda t: 6 * t.params * t.tokens)
    with pytest.raises(InputError, match="does not read"):
        laws.fit(table, law=law, count="non_embedding", bootstrap=0)


def test_a_loss_that_does_not_change_with_tokens_has_no_optimum():
    table = study()
    fit = laws.fit(table.assign(loss=1.7 + 400 / table["params"] ** 0.34), bootstrap=0)
    assert fit.exponents == {}
    with pytest.raises(InputError, match="does not change with tokens, so no run"):
        fit.optimal(1e21)


def run_off(law, values, response, *_, **__):
    """An optimum whose constants ran off."""
    n, p = len(response), len(law.names)
    return PointFit(
        theta_P=np.zeros(p),
        centre=dict.fromkeys(values, 0.0),
        constants_P=np.full(p, np.inf),
        free_P=np.ones(p),
        value=1.0,
        gradient_norm=0.0,
        condition=1.0,
        n_optima=1,
        residuals_N=np.zeros(n),
        leverage_N=np.zeros(n),
    )


def test_constants_that_run_off_where_the_loss_rises_are_refused_for_the_rise(monkeypatch):
    table = study()
    rising = table.assign(loss=2 + (table["tokens"] / 1e10) ** 0.5)
    monkeypatch.setattr(parametric, "optimum", run_off)
    with pytest.raises(InputError, match=r"^the loss rises with tokens, by \d+ % per tenfold"):
        laws.fit(rising, bootstrap=0)
    with pytest.raises(InputError, match=r"do not determine 'chinchilla'.*E = inf"):
        laws.fit(table, bootstrap=0)


def test_no_optimum_that_ran_off_is_used(monkeypatch):
    n, c = (
        grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e9, 9), np.geomspace(1e16, 1e19, 4))
    )
    loss = CHINCHILLA.value(TRUTH, {"params": n, "tokens": c / 6 / n})
    table = pd.DataFrame({"params": n, "tokens": c / 6 / n, "loss": loss, "budget": c})
    for module in (profile_module, backtest_module, surface_module, bias_module, frontier_module):
        monkeypatch.setattr(module, "optimum", run_off)
    for refused in (
        lambda: laws.profile(table, "E"),
        lambda: laws.backtest(usable_rows(checked(table)), ["chinchilla"], Options(bootstrap=0)),
        lambda: laws.fit(table, approach=2, isoflop_curve="surface", bootstrap=0),
        lambda: laws.fit(table, approach=2, corrected=True, bootstrap=0),
    ):
        with pytest.raises(InputError, match="determine"):
            refused()
    fit = laws.fit(table, approach=2, bootstrap=0)
    assert fit.optimal(1e20).loss is None
    assert any("determine no power law" in note for note in fit.diagnostics)


@pytest.mark.parametrize(("n_rows", "word"), [(9, "no intervals"), (12, "too narrow"), (20, "")])
def test_few_rows_beside_the_constants_give_no_interval_or_say_that_it_is_narrow(n_rows, word):
    fit = laws.fit(study().iloc[:n_rows], bootstrap=20)
    notes = [note for note in fit.diagnostics if f"{n_rows} distinct rows" in note]
    assert [word in note for note in notes] == [True] * bool(word)
    assert (fit.intervals is None) == (n_rows == 9)
    if n_rows == 9:
        assert "9 distinct rows are fitted by 5 constants, and 4 rows beyond" in notes[0]
        assert "10 distinct rows are needed" in notes[0]
        fixed = laws.fit(study().iloc[:9], bootstrap=20, fixed={"E": 1.2})
        assert fixed.intervals["E"] == pytest.approx((1.2, 1.2))


def test_a_constant_that_no_resample_moves_has_no_interval():
    fit = laws.fit(study(), bootstrap=20)
    draws_BxP = fit.draws_BxP.copy()
    draws_BxP[:, 0] = fit.params["E"]
    alike = dataclasses.replace(fit, draws_BxP=draws_BxP)
    assert [*alike.intervals] == ["A", "B", "alpha", "beta"]
    assert laws.Fit.from_json(alike.to_json()).intervals == alike.intervals
