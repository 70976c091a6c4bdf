"""Badly tuned rungs stand out above the trend of the others, and noise alone does not."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.extrapolation.suspect_rungs import suspect_rungs
from scaling_jax.laws.tables.select import usable_rows

TRUTH = np.array([1.7, 400.0, 410.0, 0.34, 0.28])
BUDGETS = np.geomspace(1e18, 3e20, 6)


def study(seed=0, noise=0.003, raised=()):
    rng, tables = np.random.default_rng(seed), []
    for budget in BUDGETS:
        params = float(form_frontier(CHINCHILLA, TRUTH, budget).params) * np.geomspace(0.25, 4, 7)
        loss = CHINCHILLA.value(TRUTH, {"params": params, "tokens": budget / 6 / params})
        loss = loss * np.exp(noise * rng.normal(size=7))
        for g, share in raised:
            loss = loss * (1 + share * (budget == BUDGETS[g]))
        tables.append(dict(params=params, tokens=budget / 6 / params, loss=loss, budget=budget))
    return usable_rows(pd.concat([pd.DataFrame(table) for table in tables], ignore_index=True))


def test_noise_alone_raises_an_alarm_in_at_most_one_table_of_twenty():
    assert sum(bool(suspect_rungs(study(seed))) for seed in range(100)) <= 5


@pytest.mark.parametrize("rung", range(6))
def test_a_rung_that_is_3_per_cent_too_high_is_found_alone(rung):
    found = [suspect_rungs(study(seed, raised=[(rung, 0.03)])) for seed in range(10)]
    budgets = [[suspect.budget for suspect in suspects] for suspects in found]
    assert sum(each == [pytest.approx(BUDGETS[rung], rel=0.01)] for each in budgets) >= 9


def test_several_rungs_are_named_smallest_first_with_their_excess():
    found = suspect_rungs(study(noise=0.001, raised=[(0, 0.05), (3, 0.03)]))
    assert [suspect.budget for suspect in found] == pytest.approx(BUDGETS[[0, 3]], rel=0.01)
    assert [suspect.above for suspect in found] == pytest.approx([0.05, 0.03], abs=0.01)
    assert "1e+18 FLOPs lies" in str(found[0])


def test_a_rung_that_is_too_low_and_a_study_without_noise_are_no_alarm():
    assert suspect_rungs(study(raised=[(2, -0.03)])) == ()
    assert suspect_rungs(study(noise=0.0)) == ()


def test_the_unit_of_the_loss_is_irrelevant():
    rows = study(raised=[(0, 0.03)])
    bits = pd.DataFrame({**rows.variables, "loss": rows.loss / np.log(2), "budget": rows.budget})
    in_bits = suspect_rungs(usable_rows(bits))
    assert [rung.above for rung in in_bits] == pytest.approx(
        [rung.above for rung in suspect_rungs(rows)]
    )


def test_too_few_budgets_show_no_trend():
    rows = study(raised=[(0, 0.2)])
    rows.weight[rows.budget > BUDGETS[3] * 1.01] = 0
    assert suspect_rungs(rows) == ()
