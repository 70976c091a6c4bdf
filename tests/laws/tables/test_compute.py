"""One C per table, which all approaches answer in."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.planning.known import KnownLaw
from scaling_jax.laws.planning.next_runs import Goal, next_cells
from scaling_jax.laws.planning.noise import Noise
from scaling_jax.laws.planning.simulate import simulate_study
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


def shifted(n):
    return 6 * (n + 2e8)


def test_flops_with_a_constant_per_token_are_the_c_of_all_approaches():
    table = study(shifted).rename(columns={"budget": "flops"})
    _, compared = exponents(table, curves(shifted))
    fit = compared.fits[3]
    assert any("C = 6 (N + 2e+08) D, a and b between" in note for note in fit.diagnostics)
    for c in (1e18, 1e20, 1e23):
        fine = np.geomspace(1e7, 1e12, 200001)
        loss = E + A / fine**ALPHA + B / (c / shifted(fine)) ** BETA
        assert fit.optimal(c).params == pytest.approx(fine[loss.argmin()], rel=1e-3)
        best = fit.optimal(c)
        assert shifted(best.params) * best.tokens == pytest.approx(c, rel=1e-9)
    ends = [fit.optimal(c) for c in (1e18, 1e21)]
    assert fit.exponents == pytest.approx(
        {
            "a": np.log10(ends[1].params / ends[0].params) / 3,
            "b": np.log10(ends[1].tokens / ends[0].tokens) / 3,
        }
    )
    # Power laws through the same optima; those of approach 1 lie at larger C.
    assert compared.fits[2].exponents["a"] == pytest.approx(fit.exponents["a"], abs=0.01)
    middle = compared.fits[1].reference_flops
    for k, c in ((1, middle), (2, 1e20)):
        same = pytest.approx(fit.optimal(c).params, rel=0.05)
        assert compared.fits[k].optimal(c).params == same
    assert laws.Fit.from_json(fit.to_json()).optimal(1e22) == fit.optimal(1e22)
    found = laws.profiles(table, budgets=(1e20,))
    assert (found.exponents, found.optima) == ({}, {})
    assert found.constants["E"].estimate == pytest.approx(E, rel=1e-4)
    with pytest.raises(InputError, match="product of powers"):
        laws.profile(table, "a")
    with pytest.raises(InputError, match=r"C of this fit is the column flops, 6 \(N"):
        laws.size_range(fit, 0.1)


def test_flops_that_params_and_tokens_do_not_determine_have_no_optimum():
    table = study().rename(columns={"budget": "flops"})
    table["flops"] *= np.resize([1.0, 4.0], len(table))
    fit = laws.fit(table, bootstrap=20)
    assert fit.exponents == {}
    assert fit.predict(params=1e9, tokens=2e10).law_interval is not None
    assert any("params and tokens do not determine it" in note for note in fit.diagnostics)
    goal = Goal("params", 1e22, 1.5)
    for refused in (
        lambda: fit.optimal(1e20),
        lambda: laws.profile(table, "a"),
        lambda: next_cells(goal, fit, table, table),
        lambda: laws.fit(table, approach=2, corrected=True, bootstrap=0),
        lambda: laws.fit(table, approach=2, isoflop_curve="surface", bootstrap=0),
    ):
        with pytest.raises(InputError, match="column flops, which params and tokens do not"):
            refused()
    compared = laws.compare(table, bootstrap=0)
    assert "do not determine" in compared.refused[3]
    without = laws.fit(table.drop(columns="flops"), bootstrap=0)
    assert without.exponents["a"] == pytest.approx(BETA / (ALPHA + BETA), abs=1e-3)


def test_simulations_and_the_choice_of_runs_are_in_the_c_of_the_table():
    law = KnownLaw(CHINCHILLA, dict(E=E, A=A, B=B, alpha=ALPHA, beta=BETA), "made up")
    table = study(shifted).rename(columns={"budget": "flops"})
    done = simulate_study(table, law, noise=Noise(1e-5), n_studies=3, bootstrap=20, flops=1e22)
    fit = laws.fit(table, bootstrap=0)
    assert done.truth["params"] == pytest.approx(fit.optimal(1e22).params, rel=1e-3)
    assert done.studies["params"].to_numpy() == pytest.approx(done.truth["params"], rel=0.01)
    assert done.studies["a"].to_numpy() == pytest.approx(done.truth["a"], abs=1e-3)
    value = Goal("params", 1e22, 1.5).value(CHINCHILLA, law.constants_P, fit.compute)
    assert value == pytest.approx(np.log(done.truth["params"]), rel=1e-6)


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
