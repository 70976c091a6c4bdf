"""How fast errors grow: learnt from cut-offs and from published tables, with few cut-offs wider."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.extrapolation.rates import error_of_form, errors_of_optimum
from scaling_jax.laws.form_error import FormError, growth
from scaling_jax.laws.stored import sealed
from scaling_jax.laws.tables.select import Rows, usable_rows
from scaling_jax.laws.uncertainty.widening import scaled, widened


def isoflop(sizes: int = 7) -> Rows:
    budget = np.repeat(np.geomspace(1e18, 1e20, 4), sizes)
    params = np.tile(np.geomspace(0.25, 4, sizes), 4) * np.sqrt(budget / 120)
    table = pd.DataFrame({"params": params, "tokens": budget / 6 / params, "budget": budget})
    table["loss"] = 1.7 + 400 / table["params"] ** 0.34 + 400 / table["tokens"] ** 0.34
    return usable_rows(table)


def half_width(error: FormError) -> float:
    draws_B = np.exp(np.random.default_rng(0).normal(0, 1e-3, 4000))
    low, high = np.quantile(
        scaled(draws_B, 1.0, error.loss_deviation(10), error.freedom), [0.05, 0.95]
    )
    return float(math.log(high / low)) / 2


def test_few_cutoffs_give_wider_intervals_and_consistent_ones_narrower() -> None:
    none = error_of_form((1e20,), np.empty(0), np.empty(0))
    ends = (1e20, *(1e20 / 2.0**k for k in range(1, 6)))
    many = error_of_form(ends, np.full(5, none.loss_rate), np.full(5, 0.1))
    small = error_of_form(ends, np.full(5, 0.001), np.full(5, 0.1))
    assert (none.freedom, many.freedom) == (5, 10)
    assert half_width(none) > 1.05 * half_width(many) > 2 * half_width(small)


def test_a_normal_error_of_a_stored_fit_is_left_as_it_was() -> None:
    draws_B = np.exp(np.random.default_rng(0).normal(0, 0.01, 1000))
    assert np.array_equal(widened(draws_B, 0.02), widened(draws_B, 0.02, math.inf))
    normal_B = np.random.default_rng(1).standard_normal(1000)
    assert widened(draws_B, 0.02) == pytest.approx(draws_B * np.exp(0.02 * normal_B))


def test_optima_are_compared_with_the_minima_of_larger_budgets() -> None:
    rows = isoflop()
    assert rows.budget is not None
    ends = tuple(np.unique(rows.budget)[::-1].tolist()[:3])

    def off(k: int, flops_G: np.ndarray) -> np.ndarray:
        return np.log(np.sqrt(flops_G / 6)) + 0.2 * (k > 0)

    nearest = 0.2 / growth(ends[0] / ends[1])
    assert errors_of_optimum(rows, ends, off)[0] == pytest.approx(float(nearest), rel=0.05)
    lost = errors_of_optimum(rows, ends, lambda k, flops_G: np.full(len(flops_G), np.nan))
    assert lost.tolist() == [0.5, 0.5]


def test_fits_stored_before_degrees_of_freedom_are_read_as_they_were() -> None:
    table = {"flops": np.geomspace(1e18, 1e21, 8)}
    table["loss"] = 20 / table["flops"] ** 0.05
    data = json.loads(laws.fit(table, law="kaplan-flops", bootstrap=20).to_json())
    data["form_error"] = {"loss_rate": 0.005, "params_rate": 0.1, "cutoffs": [1e20]}
    del data["sha256"]
    again = laws.Fit.from_json(sealed(data))
    assert again.form_error == FormError(0.005, 0.1, (1e20,), math.inf, 0.5)  # type: ignore[attr-defined]
