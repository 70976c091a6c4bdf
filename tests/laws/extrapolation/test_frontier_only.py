"""The frontier alone, carried to runs off the optimum."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import form_frontier
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.extrapolation.frontier_only import fit_frontier_only
from scaling_jax.laws.tables.select import usable_rows

TRUTH = np.array([1.7, 400.0, 410.0, 0.34, 0.28])


def study(noise=0.0, seed=0, budgets=6):
    rows = []
    for c in np.geomspace(1e18, 3e20, budgets):
        params = float(form_frontier(CHINCHILLA, TRUTH, c).params) * np.geomspace(0.25, 4, 9)
        loss = CHINCHILLA.value(TRUTH, {"params": params, "tokens": c / 6 / params})
        rows.append(dict(params=params, tokens=c / 6 / params, loss=loss, budget=c))
    table = pd.concat([pd.DataFrame(row) for row in rows], ignore_index=True)
    table["loss"] *= np.exp(noise * np.random.default_rng(seed).normal(size=len(table)))
    return table


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_runs_near_the_optimum_at_ten_times_the_compute_are_predicted(factor):
    params = factor * float(form_frontier(CHINCHILLA, TRUTH, 3e21).params)
    tokens = 3e21 / 6 / params
    truth = float(CHINCHILLA.value(TRUTH, {"params": params, "tokens": tokens}))
    fit = fit_frontier_only(usable_rows(study()))
    assert float(fit.predict(params, tokens)) == pytest.approx(truth, rel=1e-3)


def test_a_declared_floor_predicts_better_than_a_free_one_where_noise_hides_it():
    best = form_frontier(CHINCHILLA, TRUTH, 3e22)
    errors = {None: [], 1.7: []}
    for seed in range(10):
        rows = usable_rows(study(0.003, seed))
        for floor, found in errors.items():
            fit = fit_frontier_only(rows, floor=floor)
            predicted = float(fit.predict(float(best.params), float(best.tokens)))
            found.append(np.log(predicted / float(best.loss)))
    assert np.std(errors[1.7]) < np.std(errors[None])
    assert abs(np.mean(errors[1.7])) < 0.01


def test_a_run_far_off_the_optimum_is_refused_and_arrays_are_predicted():
    fit = fit_frontier_only(usable_rows(study()))
    best = float(fit.optimal_params(1e21))
    params = best * np.array([0.5, 1.0, 20.0])
    tokens = 1e21 / 6 / params
    assert fit.reaches(params, tokens).tolist() == [True, True, False]
    predicted = fit.predict(params[:2], tokens[:2])
    assert predicted[0] > predicted[1]
    with pytest.raises(InputError, match="a factor 20 off the optimal size"):
        fit.predict(params, tokens)


def test_fewer_than_four_minima_are_refused():
    with pytest.raises(InputError, match="3 budgets have 4 sizes and a minimum"):
        fit_frontier_only(usable_rows(study(budgets=3)))
    table = study(budgets=4)
    smallest = table.budget == table.budget.min()
    falling = table[~smallest | (table.params < table.params[smallest].median())]
    with pytest.raises(InputError, match="the frontier alone needs 4"):
        fit_frontier_only(usable_rows(falling))
