"""Designs that train their runs with several seeds."""

from dataclasses import replace

import pytest

from scaling_jax.config import DataConfig
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import (
    Branched,
    ConstantBatch,
    ConstantLR,
    Extrapolation,
    FixedModels,
    IsoFlop,
    Recipe,
    ShapeGrid,
    Study,
    Warmup,
    override,
)
from scaling_jax.study.plan.description import stored_form

RECIPE = Recipe(
    data=DataConfig("embedded", "bytes"),
    family=Family(vocab_size=256, seq_len=32),
    peak_lr=ConstantLR(1e-2),
    batch_size=ConstantBatch(4),
    seed=7,
)
SIZES = ((4e3, 10e3), (6.6e3, 15e3))
ONCE = IsoFlop((1e9, 4e9), SIZES)


def seeds_of(study: Study) -> dict[tuple, list[int]]:
    """The seeds of every cell."""
    found: dict[tuple, list[int]] = {}
    for run in study.plan():
        cell = run.budget, run.config.shape, run.config.tokens
        found.setdefault(cell, []).append(run.config.seed)
    return {cell: sorted(seeds) for cell, seeds in found.items()}


def test_each_budget_has_its_number_of_seeds_from_the_recipe_s_on() -> None:
    found = seeds_of(Study("s", RECIPE, replace(ONCE, seeds=(3, 1))))
    assert {(budget, tuple(seeds)) for (budget, *_), seeds in found.items()} == {
        (1e9, (7, 8, 9)),
        (4e9, (7,)),
    }


def test_the_first_seed_of_each_cell_is_the_run_of_a_study_without_seeds() -> None:
    once, twice = Study("s", RECIPE, ONCE), Study("s", RECIPE, replace(ONCE, seeds=2))
    ids = {run.config.run_id for run in once.plan()}
    assert ids < {run.config.run_id for run in twice.plan()}
    assert len(twice.plan()) == 2 * len(ids)


def test_one_seed_is_stored_as_no_seeds_are() -> None:
    assert "seeds" not in stored_form(ONCE)
    assert stored_form(replace(ONCE, seeds=(1, 1))) == stored_form(ONCE)
    assert stored_form(replace(ONCE, seeds=2))["seeds"] == 2


@pytest.mark.parametrize(
    "design",
    [
        FixedModels((4e3, 10e3), (2.0, 5.0), seeds=(3, 1)),
        ShapeGrid(tuple(map(RECIPE.family.nearest, (4e3, 10e3))), (8e3, 3e4), seeds=(3, 1)),
    ],
)
def test_other_designs_count_seeds_by_model_and_by_number_of_tokens(design) -> None:
    assert sorted(map(len, seeds_of(Study("s", RECIPE, design)).values())) == [1, 1, 3, 3]


def test_the_seeds_of_a_shape_have_trunks_of_their_own() -> None:
    recipe = replace(RECIPE, warmup=Warmup(0, 10), optimizer_knobs={"schedule": "wsd"})
    runs = Study("s", recipe, Branched(FixedModels((4e3,), (5.0, 10.0, 20.0), seeds=2))).plan()
    trunks = {run.config.run_id: run.config.seed for run in runs if run.branch is None}
    assert sorted(trunks.values()) == [7, 8]
    branches = [run for run in runs if run.branch is not None]
    assert len(branches) == 4
    assert all(trunks[run.branch.trunk] == run.config.seed for run in branches)


@pytest.mark.parametrize(("setting", "n"), [("design.seeds=2", 8), ("design.seeds=3, 1", 8)])
def test_seeds_are_set_from_the_command_line(setting: str, n: int) -> None:
    assert len(override(Study("s", RECIPE, ONCE), [setting]).plan()) == n


@pytest.mark.parametrize(
    ("seeds", "message"),
    [(0, "at least one seed"), ((1, 2, 3), "3 numbers of seeds for 2 budgets"), (1.5, "seeds")],
)
def test_numbers_of_seeds_that_no_budget_can_have_are_refused(seeds, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(ONCE, seeds=seeds)


def test_the_run_to_predict_lies_beyond_the_ladder() -> None:
    *ladder, test = Study("s", RECIPE, Extrapolation(ONCE, budget=4e10, params=3e4)).plan()
    assert {run.role for run in ladder} == {"grid"}
    assert (test.role, test.budget) == ("verification", 4e10)
    with pytest.raises(InputError, match="does not lie beyond the ladder"):
        Study("s", RECIPE, Extrapolation(ONCE, budget=4e9, params=3e4)).plan()
