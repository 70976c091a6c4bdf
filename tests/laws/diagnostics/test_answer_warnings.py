"""Warnings that stand first: sizes that miss the optimum, repeated text, approaches that differ."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.comparison import disagreements
from scaling_jax.laws.decisions.answers import at_budget, predicted
from scaling_jax.laws.fit_text import describe_fit

BUDGETS = (1e18, 1e19, 1e20)


def table(low=0.25, high=4.0):
    """IsoFLOP groups of sizes from `low` to `high` times the optimum of a known law."""
    e, a, b, alpha, beta = 1.7, 400.0, 410.0, 0.34, 0.28
    ratio = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    rows = []
    for c in BUDGETS:
        for factor in np.geomspace(low, high, 5):
            n = factor * ratio * (c / 6) ** (beta / (alpha + beta))
            d = c / 6 / n
            rows.append((n, d, c, e + a / n**alpha + b / d**beta))
    return pd.DataFrame(rows, columns=["params", "tokens", "budget", "loss"])


def codes(fit):
    return {str(note.code) for note in fit.diagnostics}


SIZES = {"minima-at-edges", "optimum-below-sizes"}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.25, 4.0, set()),
        (2.0, 16.0, SIZES),
        (1 / 16, 1 / 2, {"minima-at-edges"}),
        (0.9, 4.0, {"minima-at-edges"}),
    ],
)
def test_grids_that_miss_the_optimum_are_named_first(low, high, expected):
    fit = laws.fit(table(low, high), bootstrap=0)
    assert codes(fit) & SIZES == expected
    first = describe_fit(fit).splitlines()[: 4 + len(expected)]
    for note in fit.diagnostics:
        if str(note.code) in expected:
            assert note.line in first


def test_one_budget_with_a_minimum_is_enough():
    rows = pd.concat([table(2.0, 16.0).query("budget < 1e20"), table().query("budget == 1e20")])
    assert "minima-at-edges" not in codes(laws.fit(rows, bootstrap=0))


def with_stock(stock):
    rows = table()
    return rows.assign(unique_tokens=np.minimum(rows.tokens, stock))


def test_text_that_is_read_many_times_is_named_and_limits_the_data():
    rows = with_stock(1e9)
    fit = laws.fit(rows, bootstrap=0)
    (note,) = (note for note in fit.diagnostics if note.code == "text-repeated")
    n = int((rows.tokens > 4e9).sum())
    assert f"{n} of 15 runs read their text more than 4 times" in note
    assert "data-limit" in codes(fit)
    assert laws.Fit.from_json(fit.to_json()).provenance["unique_tokens"] == 1e9
    data = {key: value for answer, *_ in at_budget(fit, 1e20) for key, value in answer.items()}
    assert data["repeated"]["unique_tokens"] == 1e9
    # What the user gives counts instead.
    given = [answer for answer, *_ in at_budget(fit, 1e20, unique_tokens=2e9)]
    assert given[-1]["repeated"]["unique_tokens"] == 2e9


def test_a_text_that_no_run_read_to_its_end_limits_what_lies_beyond():
    rows = table()
    rows = rows.assign(unique_tokens=rows.tokens)
    largest = laws.fit(rows, bootstrap=0).optimal(1e20).tokens
    known = laws.fit(rows.assign(text_tokens=2 * largest), bootstrap=0)
    assert "data-limit" not in codes(known)
    (line,) = (line for line in describe_fit(known).splitlines() if "runs' text" in line)
    assert line.startswith("  warning: The optimum at 1e21 FLOPs reads")
    at_largest, beyond = ({k for a, *_ in at_budget(known, c) for k in a} for c in (1e20, 1e21))
    assert ("repeated" in at_largest, "repeated" in beyond) == (False, True)
    run = {"params": 1e10, "tokens": 3 * largest}
    _, text, (note,) = predicted(known, run)
    assert "1.5 times" in note
    assert note.line in text
    assert predicted(known, run | {"tokens": largest})[2] == ()
    # Records of earlier versions have no such number.
    unknown = laws.fit(rows.assign(text_tokens=None), bootstrap=0)
    assert "unique_tokens" not in unknown.provenance
    assert "runs' text" not in describe_fit(unknown)
    assert unknown.params == known.params


@pytest.mark.parametrize("stock", [1e30, 4e10])
def test_fresh_text_has_no_such_warning(stock):
    fit = laws.fit(with_stock(stock), bootstrap=0)
    assert codes(fit) & {"text-repeated", "data-limit"} == set()
    assert ("unique_tokens" in fit.provenance) == (stock < table().tokens.max())


def test_approaches_that_disagree_beyond_their_intervals_are_named():
    rows = table()
    noise = np.exp(1e-3 * np.random.default_rng(0).normal(size=len(rows)))
    rows = rows.assign(loss=rows.loss * noise)
    one, two = (laws.fit(rows, approach=k, bootstrap=50) for k in (2, 3))
    assert disagreements({2: one, 3: two}, 1e20) == ()
    shifted = laws.fit(rows.assign(params=rows.params * 3), bootstrap=50)
    (note,) = disagreements({2: one, 3: shifted}, 1e20)
    assert note.code == "approaches-disagree"
    assert "2 and 3" in note
