"""Minima of IsoFLOP curves with standard errors."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.laws.extrapolation.budget_minima import budget_minima
from scaling_jax.laws.tables.select import usable_rows

BUDGETS = (1e18, 1e19, 1e20, 1e21)


def parabolas(noise=0.0, seed=0, kappa=0.03, n=9, width=4.0):
    """Curves whose log loss is a parabola in log N about 20 tokens per parameter."""
    budget = np.repeat(BUDGETS, n)
    factor = np.tile(np.geomspace(1 / width, width, n), len(BUDGETS))
    params = factor * np.sqrt(budget / 120)
    loss = 3 * (budget / 1e18) ** -0.05 * np.exp(kappa * np.log(factor) ** 2)
    loss *= np.exp(noise * np.random.default_rng(seed).normal(size=len(loss)))
    table = {"params": params, "tokens": budget / 6 / params, "loss": loss, "budget": budget}
    return pd.DataFrame(table)


def test_minimum_curvature_and_reach_are_those_of_the_curve():
    for found, budget in zip(budget_minima(usable_rows(parabolas())), BUDGETS, strict=True):
        assert found.params == pytest.approx(np.sqrt(budget / 120), rel=1e-3)
        assert found.tokens == pytest.approx(20 * found.params, rel=2e-3)
        assert found.loss == pytest.approx(3 * (budget / 1e18) ** -0.05, rel=1e-3)
        assert found.curvature == pytest.approx(0.03, rel=0.05)
        assert found.reach == pytest.approx(4.0, rel=1e-2)


def test_the_standard_error_is_the_scatter_of_the_minimum_over_studies():
    studies = [budget_minima(usable_rows(parabolas(0.002, seed))) for seed in range(60)]
    logs = np.log([[found.loss for found in study] for study in studies])
    mean_error = np.mean([study[0].error for study in studies])
    assert mean_error == pytest.approx(logs.std(axis=0, ddof=1).mean(), rel=0.2)
    bends = np.array([[found.curvature for found in study] for study in studies])
    mean_error = np.mean([study[0].curvature_error for study in studies])
    assert mean_error == pytest.approx(bends.std(axis=0, ddof=1).mean(), rel=0.2)


def test_budgets_without_a_minimum_or_with_few_sizes_are_left_out():
    table = parabolas()
    falling = (table.budget == 1e18) & (table.params > np.sqrt(1e18 / 120) * 0.9)
    few = (table.budget == 1e19) & (np.arange(len(table)) % 3 > 0)
    found = budget_minima(usable_rows(table[~falling & ~few]))
    assert [minimum.budget for minimum in found] == [1e20, 1e21]


def test_rows_of_weight_zero_and_tables_without_budgets_have_no_minima():
    rows = usable_rows(parabolas())
    rows.weight[rows.budget == 1e21] = 0
    assert [minimum.budget for minimum in budget_minima(rows)] == list(BUDGETS[:3])
    scattered = parabolas().drop(columns="budget")
    scattered["tokens"] *= np.geomspace(1, 30, len(scattered))
    assert budget_minima(usable_rows(scattered)) == ()


def test_tokens_at_a_minimum_are_those_of_its_budget_in_the_table_s_own_compute():
    budget = np.repeat(BUDGETS, 9)
    params = np.sqrt(budget / 120) * np.tile(np.geomspace(0.25, 4, 9), len(BUDGETS))
    tokens = budget / 6 / (params + 2e8)
    loss = 3 * (budget / 1e18) ** -0.05 * (1 + 0.03 * np.log(params / np.sqrt(budget / 120)) ** 2)
    table = pd.DataFrame(
        {"params": params, "tokens": tokens, "loss": loss, "budget": budget, "flops": budget}
    )
    for found in budget_minima(usable_rows(table)):
        assert 6 * (found.params + 2e8) * found.tokens == pytest.approx(found.budget, rel=1e-6)
