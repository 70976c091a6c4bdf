"""The order of training makes every curve useful early and leaves no long end."""

from itertools import pairwise

import pytest
from small_studies import RECIPE

from scaling_jax.study import FixedModels, IsoFlop, Study
from scaling_jax.study.execution import order
from scaling_jax.study.execution.order import NEAR, coarse_to_fine, ordered
from scaling_jax.study.store.store import Store

BUDGETS = (1e10, 2e10, 4e10, 8e10)
SIZES = tuple(5e3 * 1.8**i for i in range(5))


@pytest.fixture
def runs(tmp_path):
    study = Study("many", RECIPE, IsoFlop(BUDGETS, (SIZES,) * len(BUDGETS)))
    return Store.create(tmp_path, study).runs()


@pytest.fixture(params=[0, NEAR])
def near(request, monkeypatch):
    monkeypatch.setattr(order, "NEAR", request.param)
    return request.param


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, []),
        (1, [0]),
        (2, [0, 1]),
        (3, [0, 2, 1]),
        (5, [0, 4, 2, 1, 3]),
        (9, [0, 8, 4, 2, 6, 1, 3, 5, 7]),
    ],
)
def test_a_curve_goes_from_coarse_to_fine(n, expected):
    assert coarse_to_fine(range(n)) == expected


def test_every_run_is_there_once_whatever_the_order_given(runs, near):
    made = ordered(runs)
    assert sorted(run.run_id for run in made) == sorted(run.run_id for run in runs)
    assert ordered(runs[::-1]) == made
    assert ordered([]) == []


def test_after_three_rounds_every_budget_has_its_ends_and_its_middle(runs, monkeypatch):
    monkeypatch.setattr(order, "NEAR", 0)
    made = ordered(runs)
    n = len(BUDGETS)
    for budget in BUDGETS:
        curve = sorted(
            (run for run in runs if run.planned.budget == budget),
            key=lambda run: run.planned.config.tokens,
        )
        first = [run for run in made[: 3 * n] if run.planned.budget == budget]
        assert first == [curve[0], curve[-1], curve[2]]
    budgets = [run.planned.budget for run in made]
    assert budgets[:n] == budgets[n : 2 * n] == list(BUDGETS)
    # What is left at the end is cheap.
    assert budgets[-n:] == list(BUDGETS[::-1])


def test_the_dearest_runs_are_spread_over_the_study(runs, near):
    made = ordered(runs)
    dearest = [i for i, run in enumerate(made) if run.planned.budget == BUDGETS[-1]]
    assert dearest[0] < len(BUDGETS) + near
    assert dearest[-1] < len(made) - 1
    assert max(b - a for a, b in pairwise(dearest)) <= len(BUDGETS) + near


def test_runs_of_a_shape_are_neighbours_if_they_were_near(runs):
    made = ordered(runs)
    shapes = [run.planned.config.shape for run in made]
    same = sum(a == b for a, b in pairwise(shapes))
    assert same >= len(runs) // 2


def test_where_every_run_has_its_own_budget_a_curve_is_a_shape_over_tokens(tmp_path):
    design = FixedModels(params=(5e3, 20e3), tokens_per_param=(4.0, 8.0, 16.0, 32.0))
    made = ordered(Store.create(tmp_path, Study("horizons", RECIPE, design)).runs())
    assert len({run.planned.budget for run in made}) == len(made) == 8
    # The shortest and the longest of each shape, which are near enough to be neighbours.
    tokens = [run.planned.config.tokens for run in made]
    assert [tokens[i + 1] > 4 * tokens[i] for i in (0, 4)] == [True, True]
    assert made[0].planned.config.shape == made[1].planned.config.shape
