"""The answer with one thing changed at a time."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.extrapolation.average import restricted

pytestmark = pytest.mark.usefixtures("unoptimized")

TRUE = dict(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
AT = {"params": 3e9, "tokens": 6e10}
SMALLEST, LARGEST = 1e17, 1e17 * 3.0**5


def study(noise: float = 0.0) -> pd.DataFrame:
    budget = np.repeat(1e17 * 3.0 ** np.arange(6), 7)
    params = 3e7 * (budget / 1e17) ** 0.5 * np.tile(np.geomspace(0.2, 5, 7), 6)
    tokens = budget / 6 / params
    loss = CHINCHILLA.value(CHINCHILLA.ordered(TRUE), {"params": params, "tokens": tokens})
    loss = loss * np.exp(noise * np.random.default_rng(0).standard_normal(len(loss)))
    return pd.DataFrame({"params": params, "tokens": tokens, "budget": budget, "loss": loss})


def truth(params: float, tokens: float) -> float:
    return float(CHINCHILLA.value(CHINCHILLA.ordered(TRUE), {"params": params, "tokens": tokens}))


@pytest.fixture(scope="module")
def exact() -> laws.Sensitivity:
    return laws.sensitivity(study(), at=AT, floors=(1.8, 9.0))


@pytest.fixture(scope="module")
def noisy() -> tuple[pd.DataFrame, laws.Fit, laws.Sensitivity]:
    table = study(0.002)
    fit = laws.fit(table, bootstrap=0)
    return table, fit, laws.sensitivity(table, at=AT, fit=fit)


def case(found: laws.Sensitivity, start: str) -> pd.Series:
    table = found.table()
    return table[table["case"].str.startswith(start)].iloc[0]


def test_exact_losses_of_chinchilla_leave_every_compatible_case_where_it_is(
    exact: laws.Sensitivity,
) -> None:
    table = exact.table()
    compatible = ("auto", "chinchilla", "E fitted", "E = 1.8", "without", "rows within", "weights")
    rows = table[table["case"].str.startswith(compatible)]
    assert len(rows) == 10
    off = (rows["loss"] / truth(**AT) - 1).abs()
    # A hundred times beyond the data, by an average that takes no form for exact. With weights of
    # compute the few largest budgets decide, and priors besides.
    is_weighted = rows["kind"] == "weights"
    assert off[~is_weighted].max() < 6e-3
    assert off[is_weighted].max() < 0.03
    assert case(exact, "chinchilla")["loss"] == pytest.approx(truth(**AT), rel=1e-6)
    best = laws.fit(study(), bootstrap=0).optimal(exact.flops)
    assert case(exact, "chinchilla")["params"] == pytest.approx(best.params, rel=1e-4)
    # A law without a floor falls below one with a floor far beyond the data.
    assert case(exact, "E = 0")["loss_change"] < -0.01


def test_cases_without_an_answer_say_why(exact: laws.Sensitivity) -> None:
    table = exact.table()
    # A fit of `skaling` without a run is compared with `skaling`, not with the average.
    run, law = table.query("kind == 'run'").iloc[0], case(exact, "skaling")
    assert run["loss_change"] == pytest.approx(run["loss"] / law["loss"] - 1)
    assert ((table["reason"] != "") == (table["loss"].isna() | table["params"].isna())).all()
    above = case(exact, "E = 9")
    assert math.isnan(above["loss"])
    assert "9" in above["reason"]
    assert f"E = 9: {above['reason']}" in str(exact)


def test_a_spoiled_largest_budget_shows_where_it_is_left_out() -> None:
    table = study()
    spoiled = table["loss"].where(table["budget"] < LARGEST, 1.03 * table["loss"])
    found = laws.sensitivity(table.assign(loss=spoiled), at=AT, fit=None)
    without = case(found, "without the largest budget")
    assert without["loss"] == pytest.approx(truth(**AT), rel=6e-3)
    assert abs(without["loss_change"]) > 0.005
    assert abs(without["loss_change"]) > 2 * abs(
        case(found, "without the smallest budget")["loss_change"]
    )


def test_runs_left_out_are_fits_without_them(
    noisy: tuple[pd.DataFrame, laws.Fit, laws.Sensitivity],
) -> None:
    table, fit, found = noisy
    losses = []
    for row in range(len(table)):
        alone = laws.fit(table.drop(index=row), bootstrap=0)
        losses.append((alone.predict(**AT).loss, alone.optimal(found.flops).params))
    loss, params = np.array(losses).T
    assert found.left_out == len(table)
    assert found.run_ranges["loss"] == pytest.approx((loss.min(), loss.max()), rel=1e-5)
    assert found.run_ranges["params"] == pytest.approx((params.min(), params.max()), rel=1e-3)
    runs = found.table().query("kind == 'run'")
    assert len(runs) == 5
    most = loss[np.argsort(-np.abs(np.log(loss / fit.predict(**AT).loss)))[:5]]
    assert runs["loss"].to_numpy() == pytest.approx(most, rel=1e-5)


def test_cases_of_a_fitted_law_are_fits_with_that_option(
    noisy: tuple[pd.DataFrame, laws.Fit, laws.Sensitivity],
) -> None:
    table, fit, found = noisy
    assert found.cases[0].loss == fit.predict(**AT).loss
    near = laws.fit(table, bootstrap=0, within=0.05)
    assert case(found, "rows within 5 %")["loss"] == pytest.approx(near.predict(**AT).loss)
    rest = laws.fit(table[table["budget"] > SMALLEST], bootstrap=0)
    at_smallest = case(found, "without the smallest budget, 1e+17")
    assert at_smallest["loss"] == pytest.approx(rest.predict(**AT).loss)


def test_a_form_of_an_average_is_what_a_fit_of_that_form_alone_says() -> None:
    table = study(0.002)
    whole = laws.fit(table, law="auto", bootstrap=0)
    assert isinstance(whole, laws.LawFit)
    alone = laws.fit(table, law="auto", bootstrap=0, fixed={"E": 0.0, "k": 1.0})
    floorless = laws.fit(table, law="auto", bootstrap=0, fixed={"E": 0.0})
    found = restricted(whole, "floorless").predict(**AT).loss
    assert [member.form for member in alone.members] == ["skaling"]
    heaviest = [m.constants for m in floorless.members if m.form == "skaling"]
    at_same = floorless.definition.value(np.array(heaviest[0]), AT)
    assert found == pytest.approx(float(at_same), rel=2e-3)
    with pytest.raises(InputError, match="no form 'kaplan'"):
        restricted(whole, "kaplan")


def test_questions_that_cannot_be_answered(
    noisy: tuple[pd.DataFrame, laws.Fit, laws.Sensitivity],
) -> None:
    table, fit, _ = noisy
    with pytest.raises(InputError, match="either flops"):
        laws.sensitivity(table, fit=fit)
    with pytest.raises(InputError, match="params and tokens"):
        laws.sensitivity(table, fit=fit, at={"params": 1e9})
    with pytest.raises(InputError, match="other records"):
        laws.sensitivity(table.iloc[1:], fit=fit, at=AT)
    minima = laws.fit(table, approach=2, bootstrap=0)
    with pytest.raises(InputError, match="approach 3"):
        laws.sensitivity(table, fit=minima, at=AT)
    own = dataclasses.replace(fit, provenance={**fit.provenance, "options": {"objective": {}}})
    with pytest.raises(InputError, match="objective of its own"):
        laws.sensitivity(table, fit=own, at=AT)
