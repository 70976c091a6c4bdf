"""`auto`: an average of forms by the evidence of the rows, with a misfit that near runs share."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA, SKALING
from scaling_jax.laws.fitted import Fit

TRUE = {
    "chinchilla": (CHINCHILLA, dict(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)),
    "skaling": (SKALING, dict(E=0.9, A=3e4, B=6e4, alpha=0.6, beta=0.6, k=0.45)),
}


def study(truth: str, noise: float = 0.001, budgets: int = 6, seed: int = 0) -> pd.DataFrame:
    law, constants = TRUE[truth]
    rng, rows = np.random.default_rng(seed), []
    for c in np.geomspace(1e17, 1e17 * 3.0 ** (budgets - 1), budgets):
        for n in 3e7 * (c / 1e17) ** 0.5 * np.geomspace(0.2, 5, 6):
            loss = float(law.value(law.ordered(constants), {"params": n, "tokens": c / 6 / n}))
            rows.append(dict(params=n, tokens=c / 6 / n, loss=loss, budget=c))
    table = pd.DataFrame(rows)
    return table.assign(loss=table["loss"] * np.exp(noise * rng.standard_normal(len(table))))


@pytest.fixture(scope="module", params=TRUE)
def fitted(request: pytest.FixtureRequest) -> tuple[str, laws.LawFit]:
    fit = laws.fit(study(request.param), law="auto", bootstrap=200)
    assert isinstance(fit, laws.LawFit)
    return request.param, fit


def test_a_larger_run_is_predicted_whatever_the_form_behind_the_data(
    fitted: tuple[str, laws.LawFit],
) -> None:
    truth, fit = fitted
    law, constants = TRUE[truth]
    at = {"params": 3e9, "tokens": 6e10}
    true = float(law.value(law.ordered(constants), at))
    prediction = fit.predict(**at)
    assert prediction.extrapolation > 40
    assert prediction.loss == pytest.approx(true, rel=0.015)
    assert prediction.law_interval is not None
    low, high = prediction.law_interval
    assert low < true < high


def test_the_fit_is_one_law_that_says_what_its_members_say_on_average(
    fitted: tuple[str, laws.LawFit],
) -> None:
    _, fit = fitted
    weights = np.array([member.weight for member in fit.members])
    each = np.array([member.constants for member in fit.members])
    assert weights.sum() == pytest.approx(1)
    assert [*weights] == sorted(weights, reverse=True)
    for params, tokens in ((5e8, 1e10), (1e9, 2e10), (3e9, 6e10)):
        at = {"params": params, "tokens": tokens}
        average = np.exp(weights @ np.log(SKALING.value(each, at)))
        assert fit.predict(**at).loss == pytest.approx(average, rel=2e-3)


def test_intervals_widen_with_the_distance_beyond_the_data(
    fitted: tuple[str, laws.LawFit],
) -> None:
    _, fit = fitted
    predictions = [fit.predict(params=5e8 * h**0.5, tokens=1e10 * h**0.5) for h in (1, 10, 100)]
    widths = [np.subtract(*reversed(p.law_interval or (0, 0))) / p.loss for p in predictions]
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[0]
    assert {"runs", "noise", "form", "distance"} == set(predictions[0].parts)
    optima = [fit.optimal(h * fit.flops_range[1]).params_interval or (1, 1) for h in (1, 100)]
    assert optima[0][1] / optima[0][0] < optima[1][1] / optima[1][0]


def test_the_fit_is_stored_and_read_with_its_members(fitted: tuple[str, laws.LawFit]) -> None:
    _, fit = fitted
    again = Fit.from_json(fit.to_json())
    assert isinstance(again, laws.LawFit)
    assert again.members == fit.members
    assert again.form_error == fit.form_error
    assert again.error_surface == fit.error_surface
    assert again.predict(params=3e9, tokens=6e10) == fit.predict(params=3e9, tokens=6e10)


def test_the_loss_beyond_the_data_is_bounded_without_a_form(
    fitted: tuple[str, laws.LawFit],
) -> None:
    truth, fit = fitted
    law, constants = TRUE[truth]
    best = fit.optimal(10 * fit.flops_range[1])
    true = float(law.value(law.ordered(constants), {"params": best.params, "tokens": best.tokens}))
    (note,) = [note for note in fit.diagnostics if note.code == "certificate"]
    low, high, *law_says = map(float, re.findall(r"(\d\.\d{4})", note))
    assert low < true < high
    # The note calls the law out where, and only where, the law contradicts the range.
    assert law_says == ([] if low <= best.loss <= high else [round(best.loss, 4)])
    assert f"{best.flops:.3g} FLOPs" in note


def test_held_constants_and_windows_restrict_what_is_averaged() -> None:
    fit = laws.fit(
        study("chinchilla"), law="auto", bootstrap=0, fixed={"k": 1.0}, within=0.05,
        weight_by_compute=0.5,
    )  # fmt: skip
    assert isinstance(fit, laws.LawFit)
    assert {member.within for member in fit.members} == {0.05}
    assert {member.compute_power for member in fit.members} == {0.5}
    assert all(member.constants[-1] == 1.0 for member in fit.members)
    assert fit.params["k"] == pytest.approx(1.0, rel=0.1)
    with pytest.raises(InputError, match="the floor E is held at 9"):
        laws.fit(study("chinchilla"), law="auto", bootstrap=0, fixed={"E": 9})
    with pytest.raises(InputError, match="no 'gamma'"):
        laws.fit(study("chinchilla"), law="auto", bootstrap=0, prior={"gamma": (1, 1)})


@pytest.mark.parametrize("held", [{"E": 1.6}, {"alpha": 0.3}, {"E": 1.2, "k": 0.8}])
def test_constants_are_held_at_their_values(held: dict[str, float]) -> None:
    fit = laws.fit(study("chinchilla"), law="auto", bootstrap=20, fixed=held)
    assert isinstance(fit, laws.LawFit)
    for member in fit.members:
        constants = dict(zip(SKALING.names, member.constants, strict=True))
        assert {name: constants[name] for name in held} == pytest.approx(held)
        # The law is still fitted: held constants off the truth cost a little within the data.
        assert member.score < 0.02


def test_a_prior_of_the_floor_that_the_data_do_not_bound_is_followed() -> None:
    table = study("skaling", budgets=4)
    low, high = (
        laws.fit(table, law="auto", bootstrap=0, prior={"E": (floor, 0.01)}) for floor in (0.3, 1.6)
    )
    assert low.params["E"] < 0.6 < 1.3 < high.params["E"]


@pytest.mark.parametrize("law", ["auto", "chinchilla"])
def test_a_prior_that_excludes_the_data_is_refused(law: str) -> None:
    with pytest.raises(InputError, match=r"E=9:0\.1 puts the floor above row"):
        laws.fit(study("chinchilla"), law=law, bootstrap=0, prior={"E": (9.0, 0.1)})


def test_the_unit_of_the_loss_changes_nothing_else() -> None:
    table, at = study("skaling"), {"params": 3e9, "tokens": 6e10}
    nats, bits = (
        laws.fit(table.assign(loss=times * table["loss"]), law="auto", bootstrap=40)
        for times in (1.0, 1 / np.log(2))
    )
    one, other = nats.predict(**at), bits.predict(**at)
    assert other.loss * np.log(2) == pytest.approx(one.loss, rel=1e-6)
    assert other.parts == pytest.approx(one.parts, rel=1e-3)
    for name in ("alpha", "beta", "k"):
        assert bits.params[name] == pytest.approx(nats.params[name], rel=1e-4)


def test_an_objective_is_refused_since_it_would_change_nothing() -> None:
    with pytest.raises(InputError, match="'log-squares' has no effect on the law 'auto'"):
        laws.fit(study("chinchilla"), law="auto", objective="log-squares")


def test_a_run_far_off_hardly_moves_the_answer() -> None:
    table, at = study("chinchilla"), {"params": 3e9, "tokens": 6e10}
    spoiled = table.copy()
    spoiled.loc[20, "loss"] *= 1.1
    one, other = (laws.fit(each, law="auto", bootstrap=20) for each in (table, spoiled))
    assert isinstance(one, laws.LawFit)
    assert one.error_surface is not None
    moved = abs(np.log(other.predict(**at).loss / one.predict(**at).loss))
    assert moved < 0.5 * one.error_surface.of(**at)


def test_thousands_of_rows_are_fitted() -> None:
    table = pd.concat([study("chinchilla", noise=0.003, seed=seed) for seed in range(60)])
    law, constants = TRUE["chinchilla"]
    at = {"params": 3e9, "tokens": 6e10}
    fit = laws.fit(table, law="auto", bootstrap=0)
    true = float(law.value(law.ordered(constants), at))
    assert fit.n_points == 2160
    assert fit.predict(**at).loss == pytest.approx(true, rel=0.01)


def test_few_budgets_are_said_first_and_still_answered() -> None:
    fit = laws.fit(study("chinchilla", budgets=2), law="auto", bootstrap=40)
    assert isinstance(fit, laws.LawFit)
    assert "no cut-off" in fit.diagnostics[0] or "cut-offs in compute" in fit.diagnostics[0]
    assert fit.predict(params=1e9, tokens=1e10).interval is not None


def test_runs_that_nothing_predicts_are_said_first() -> None:
    table = study("chinchilla")
    top = table["budget"].to_numpy() / table["budget"].min()
    # Every budget was trained by a recipe of its own.
    spoiled = table.assign(loss=table["loss"] * (1 + 0.15 * np.sin(3 * np.log(top))))
    fit = laws.fit(spoiled, law="auto", bootstrap=40)
    assert fit.diagnostics[0].startswith("Nothing here predicts larger runs")
    assert "form-refuted" in [note.code for note in fit.diagnostics]


def test_a_fit_of_one_law_has_the_error_of_its_form_in_its_intervals() -> None:
    right = laws.fit(study("chinchilla"), bootstrap=60)
    wrong = laws.fit(study("skaling"), bootstrap=60)
    for fit in (right, wrong):
        assert isinstance(fit, laws.LawFit)
        assert fit.form_error is not None
    assert isinstance(wrong, laws.LawFit)
    assert isinstance(right, laws.LawFit)
    assert wrong.form_error.loss_rate > 1.5 * right.form_error.loss_rate  # type: ignore[union-attr]
    at = dict(params=3e9, tokens=6e10)
    prediction = wrong.predict(**at)
    without = dataclasses.replace(wrong, form_error=None).predict(**at)
    assert prediction.resampling_interval == without.interval
    assert prediction.interval is not None
    assert without.interval is not None
    assert prediction.interval[0] < without.interval[0] < without.interval[1]
    assert without.interval[1] < prediction.interval[1]
