"""A note names the rows without which the answer of a fit would be another."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.catalogue import CHINCHILLA

TRUTH = np.array([1.2, 40.0, 90.0, 0.36, 0.33])


def study(noise=0.002, seed=0):
    """Small budgets, and one large run that every extrapolation rests on."""
    rng, rows = np.random.default_rng(seed), []
    for c in np.geomspace(1e17, 1e18, 5):
        best = form_frontier(CHINCHILLA, TRUTH, c).params
        rows += [(n, c / 6 / n) for n in best * np.geomspace(1 / 6, 6, 7)]
    rows.append((1e10, 1e10))
    table = pd.DataFrame(rows, columns=["params", "tokens"])
    loss = CHINCHILLA.value(TRUTH, {name: table[name].to_numpy() for name in table})
    return table.assign(loss=loss * np.exp(noise * rng.normal(size=len(table))))


def notes_on_influence(fit):
    return [sentence for sentence in fit.diagnostics if "hangs on single rows" in sentence]


def fitted(table, **options):
    return laws.fit(table, **{"objective": "log-squares", "bootstrap": 100} | options)


@pytest.fixture
def spoiled():
    table = study()
    return table.assign(loss=table["loss"].where(table.index < 35, table["loss"] * 0.9))


def test_the_row_is_named_with_the_answer_of_the_fit_without_it(spoiled):
    whole = fitted(spoiled, resampling="residuals")
    (note,) = notes_on_influence(whole)
    without = fitted(spoiled.drop(index=35), bootstrap=0)
    target = 10 * whole.flops_range[1]
    moved = without.optimal(target).params / whole.optimal(target).params - 1
    assert "without row 35 (1e+10 params, 1e+10 tokens" in note
    assert f"{100 * moved:+.3g} % and a {without.exponents['a']:.3f}" in note
    assert f"instead of {whole.exponents['a']:.3f}" in note


def test_a_study_without_such_a_row_has_no_note():
    balanced = study().iloc[:35]
    assert notes_on_influence(fitted(balanced)) == []
    assert notes_on_influence(fitted(balanced, objective="huber")) == []


def test_the_point_alone_is_not_compared(spoiled):
    assert notes_on_influence(fitted(spoiled, bootstrap=0)) == []


def test_whole_runs_are_left_out_where_whole_runs_are_resampled(spoiled):
    runs = [f"r{i // 2}" for i in range(36)]
    (note,) = notes_on_influence(fitted(spoiled.assign(run_id=runs), resampling="runs"))
    assert "without run r17 " in note


def test_rounding_is_no_influence():
    assert notes_on_influence(fitted(study(noise=0.0).iloc[:35])) == []
