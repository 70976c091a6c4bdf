"""Which cells an adaptive study takes next."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.planning.known import published_law
from scaling_jax.laws.planning.next_runs import Goal, in_one_round, next_cells
from scaling_jax.laws.planning.noise import Noise
from scaling_jax.laws.planning.simulate import simulate_losses

LAW = published_law("chinchilla-besiroglu")
BUDGETS = (6e18, 2e19, 6e19, 2e20, 6e20)


def grid(budgets=BUDGETS, factors=(0.25, 0.5, 1.0, 2.0, 4.0)):
    params = [LAW.optimal(budget)[0] * factor for budget in budgets for factor in factors]
    cells = pd.DataFrame({"params": params, "budget": np.repeat(budgets, len(factors))})
    return cells.assign(tokens=cells.budget / 6 / cells.params, flops=cells.budget)


@pytest.fixture(scope="module")
def done():
    return simulate_losses(grid(BUDGETS[:4]), LAW, Noise(0.003), 0)


@pytest.fixture(scope="module")
def fitted(done):
    return laws.fit(done, bootstrap=200)


@pytest.fixture(scope="module")
def candidates():
    return pd.concat([grid(), grid(factors=(0.1, 10.0))], ignore_index=True)


def advised(fitted, done, candidates, width, quantity="params"):
    return next_cells(Goal(quantity, 6e21, width), fitted, done, candidates)


def test_a_width_that_is_reached_asks_for_nothing(fitted, done, candidates):
    known = advised(fitted, done, candidates, 1.001).width
    assert advised(fitted, done, candidates, 1.01 * known).reached
    assert advised(fitted, done, candidates, 1.01 * known).chosen == ()
    assert not advised(fitted, done, candidates, 1 + 0.99 * (known - 1)).reached


def test_a_narrower_interval_costs_more(fitted, done, candidates):
    known = advised(fitted, done, candidates, 1.001).width
    costs = []
    for share in (0.9, 0.7, 0.5):
        advice = advised(fitted, done, candidates, known**share)
        assert advice.enough
        costs.append(candidates["flops"].iloc[list(advice.chosen)].sum())
    assert costs == sorted(costs)
    assert costs[0] < costs[2]


def test_choices_are_cheapest_first_and_differ_by_what_is_asked(fitted, done, candidates):
    known = [advised(fitted, done, candidates, *goal).width for goal in ((1.01,), (1e-4, "loss"))]
    params = advised(fitted, done, candidates, known[0] ** 0.4).chosen
    loss = advised(fitted, done, candidates, known[1] * 0.4, "loss").chosen
    assert params != loss
    for chosen in (params, loss):
        assert len(set(chosen)) == len(chosen)
        assert (np.diff(candidates["flops"].iloc[list(chosen)]) >= 0).all()


@pytest.mark.parametrize(
    ("costs", "spent", "n"),
    [([1, 1, 1, 1, 1], 100, 4), ([1, 1, 10], 5, 2), ([10, 10], 5, 1), ([10], 0, 1), ([], 5, 0)],
)
def test_dear_runs_are_decided_on_one_by_one(costs, spent, n):
    assert in_one_round(costs, spent, 4) == n


def test_what_cannot_be_reached_takes_all_and_says_so(fitted, done, candidates):
    advice = advised(fitted, done, candidates, 1 + 1e-9)
    assert not advice.enough
    assert sorted(advice.chosen) == list(range(len(candidates)))


def test_a_law_without_an_optimum_takes_the_cheapest(fitted, done, candidates):
    nowhere = dataclasses.replace(fitted, params=fitted.params | {"A": np.inf})
    advice = advised(nowhere, done, candidates, 1.5)
    assert advice.width == np.inf
    costs = candidates["flops"].iloc[list(advice.chosen)].to_numpy()
    assert (np.diff(costs) >= 0).all()


@pytest.mark.parametrize(
    "wrong", [("depth", 2e12, 2.0), ("loss", -1.0, 0.1), ("params", 2e12, 1.0), ("loss", 2e12, 0)]
)
def test_goals_that_mean_nothing_are_refused(wrong):
    with pytest.raises(InputError, match=r"goal|width"):
        Goal(*wrong)
