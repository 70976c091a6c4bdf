"""One C per table, which all approaches answer in."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.tables.compute import cost_of, groups_of

E, A, B, ALPHA, BETA = 1.7, 400.0, 410.0, 0.34, 0.31


def study(cost=lambda n: 6 * n, column="params"):
    """Noise-free runs of 25 sizes at budgets of C = cost(N) D, about the optimum of each."""
    rows = []
    for c in np.geomspace(1e18, 1e21, 4):
        fine = np.geomspace(1e6, 1e12, 20001)
        best = fine[(A / fine**ALPHA + B / (c / cost(fine)) ** BETA).argmin()]
        # A narrow grid, on which a parabola has no bias to speak of.
        n = best * np.geomspace(0.7, 1 / 0.7, 9)
        rows.append(pd.DataFrame({column: n, "tokens": c / cost(n), "budget": c}))
    return pd.concat(rows, ignore_index=True).pipe(losses, column)


def losses(table, column):
    loss = E + A / table[column] ** ALPHA + B / table["tokens"] ** BETA
    return table.assign(loss=loss)


def curves(cost=lambda n: 6 * n, column="params"):
    """Training curves of 25 sizes, smooth enough that no step of an envelope is bent."""
    runs = []
    for n in np.geomspace(3e7, 3e10, 25):
        d = 60 * n * np.arange(1, 6001) / 6000
        run = pd.DataFrame({column: n, "tokens": d, "flops": cost(n) * d, "run_id": f"{n:.4g}"})
        runs.append(losses(run, column))
    return pd.concat(runs, ignore_index=True)


def exponents(table, along, **options):
    compared = laws.compare(table, training_curves=along, bootstrap=0, **options)
    assert compared.refused == {}
    return [compared.fits[k].exponents["a"] for k in (1, 2, 3)], compared


@pytest.mark.parametrize("count", ["total", "non_embedding", "active"])
def test_all_approaches_agree_under_every_count(count):
    column = {"total": "params"}.get(count, f"params_{count}")
    table, along = study(column=column), curves(column=column)
    if count != "total":
        # C of all parameters, in which the budgets were not planned, is in the column flops.
        for each in (table, along):
            each["params"] = each[column] + 40 * each[column] ** 0.75
            each["flops"] = 6 * each["params"] * each["tokens"]
    found, compared = exponents(table, along, count=count)
    assert found == pytest.approx([BETA / (ALPHA + BETA)] * 3, abs=0.002)
    for fit in compared.fits.values():
        assert any(note.startswith("C is 6 N D") for note in fit.diagnostics)


def test_flops_that_grow_with_another_power_of_n_are_the_c_of_all_approaches():
    def cost(n):
        return 90 * n**0.9

    table = study(cost).rename(columns={"budget": "flops"})
    found, compared = exponents(table, curves(cost))
    assert found == pytest.approx([BETA / (ALPHA + 0.9 * BETA)] * 3, abs=0.002)
    optima = [fit.optimal(1e20).params for fit in compared.fits.values()]
    assert optima == pytest.approx([optima[2]] * 3, rel=0.02)
    fit = compared.fits[3]
    assert any(note.startswith("C is the column flops") for note in fit.diagnostics)
    assert laws.Fit.from_json(fit.to_json()).optimal(1e22) == fit.optimal(1e22)
    best = fit.optimal(1e20)
    assert cost(best.params) * best.tokens == pytest.approx(1e20, rel=1e-6)
    reached = fit.predict(params=best.params, tokens=best.tokens)
    assert reached.extrapolation == pytest.approx(best.extrapolation)


def test_a_budget_that_is_not_6nd_is_the_c_of_the_table():
    table = study(lambda n: 20 * n)
    for approach in (2, 3):
        fit = laws.fit(table, approach=approach, bootstrap=0)
        assert fit.flops_range[1] == pytest.approx(1e21)
        assert any("C is the budget, 3.33 to 3.33 times 6 N D" in n for n in fit.diagnostics)
        best = fit.optimal(1e20)
        assert 20 * best.params * best.tokens == pytest.approx(1e20, rel=0.01)


def test_budgets_of_another_c_are_regrouped_or_refused():
    flops = np.array([1e18, 1.02e18, 4e18, 4.1e18])
    groups, why = groups_of(flops, np.array([1.0, 1.0, 1.0, 1.0]))
    assert len(np.unique(groups)) == 2
    assert "runs of equal C" in why
    table = study()
    table["params_non_embedding"] = table["params"] ** 1.5 / 1e6
    with pytest.raises(InputError, match="with N non-embedding"):
        laws.fit(table.assign(budget=1e18), approach=2, count="non_embedding", bootstrap=0)


def test_blank_flops_are_filled_in_the_same_c():
    n, d = np.array([1e8, 2e8, 4e8]), np.array([1e9, 1e9, 1e9])
    flops = np.array([8e17, 1.6e18, np.nan])
    cost = cost_of(n, d, flops, None, "total")
    assert cost.flops[2] == pytest.approx(3.2e18)
