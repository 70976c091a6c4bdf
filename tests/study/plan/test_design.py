"""Designs choose the runs they promise, at the compute they promise."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from small_studies import RECIPE

from scaling_jax.accounting import flops
from scaling_jax.errors import InputError
from scaling_jax.study import (
    FixedModels,
    IsoFlop,
    PowerLawBatch,
    Proportions,
    ShapeGrid,
    Study,
    around,
)

BUDGETS = (1e11, 4e11)


def test_budgets_and_sizes_may_be_arrays():
    budgets = np.logspace(9, 10, 3)
    sizes = around(budgets, params=1e4, at=1e9, exponent=0.5, width=2, n=3)
    assert IsoFlop(budgets, np.array(sizes)) == IsoFlop(tuple(map(float, budgets)), sizes)
    assert FixedModels(np.array([1e4]), np.array([5, 20])) == FixedModels((1e4,), (5, 20))


@pytest.mark.parametrize("convention", flops.CONVENTIONS)
def test_isoflop_runs_come_within_half_a_percent_of_their_budget(convention):
    recipe = replace(RECIPE, convention=convention)
    sizes = around(BUDGETS, params=2e4, at=1e11, exponent=0.5, width=3, n=7)
    runs = list(IsoFlop(BUDGETS, sizes).runs(recipe))
    assert {run.budget for run in runs} == set(BUDGETS)
    for run in runs:
        spent = flops.training_flops(run.config.shape, run.config.tokens, convention)
        assert spent == run.flops
        assert spent == pytest.approx(run.budget, rel=0.005)
        assert run.role == "grid"


def test_the_sizes_of_a_budget_share_the_largest_batch_that_suits_them_all():
    shapes = [RECIPE.family.nearest(size) for size in (1e4, 2e4, 4e4)]
    # A budget that whole steps of 8 sequences meet for the first shape but not for all.
    budget = 8 * 24 * flops.training_flops(shapes[0], shapes[0].seq_len, "6nd")
    alone = [RECIPE.for_budget(shape, budget) for shape in shapes]
    assert alone[0].batch_size == 8
    assert min(run.batch_size for run in alone) < 8
    design = IsoFlop((budget, 50 * budget), ((1e4, 2e4, 4e4),) * 2)
    runs = list(design.runs(RECIPE))
    small, large = ([r for r in runs if r.budget == b] for b in design.budgets)
    assert {r.config.batch_size for r in small} == {min(run.batch_size for run in alone)}
    assert {r.config.batch_size for r in large} == {8}
    for run in runs:
        assert run.flops == pytest.approx(run.budget, rel=0.005)
        # The learning-rate rule is called with the tokens of the batch that the run has.
        assert run.config.tokens == run.config.batch_size * 32 * run.config.steps


def test_a_batch_rule_that_depends_on_the_size_keeps_its_batches():
    recipe = replace(RECIPE, batch_size=PowerLawBatch(8, reference_params=1e4))
    runs = list(IsoFlop((4e11,), ((1e4, 2e4, 4e4),)).runs(recipe))
    rule = recipe.batch_size
    assert [r.config.batch_size for r in runs] == [rule(r.config.shape, 0) for r in runs]
    assert len({r.config.batch_size for r in runs}) == 3


def test_a_run_knows_the_tokens_that_its_design_requested():
    (run,) = IsoFlop((1e11,), ((2e4,),)).runs(RECIPE)
    assert run.requested_tokens == pytest.approx(run.budget / (run.flops / run.config.tokens))
    assert run.requested_tokens != run.config.tokens
    (run,) = FixedModels((2e4,), (7.3,)).runs(RECIPE)
    assert run.requested_tokens == pytest.approx(7.3 * flops.count_params(run.config.shape).total)
    assert run.requested_tokens != run.config.tokens


def test_sizes_that_share_a_nearest_shape_become_one_run():
    one, two = RECIPE.family.nearest(1e4), RECIPE.family.nearest(2e4)
    assert one != two
    runs = list(IsoFlop((1e11,), ((1e4, 1.0001e4, 2e4),)).runs(RECIPE))
    assert [run.config.shape for run in runs] == [one, two]


def test_sizes_lie_evenly_in_the_logarithm_around_the_expected_optimum():
    sizes = around(BUDGETS, params=2e4, at=1e11, exponent=0.5, width=4, n=5)
    for of_budget, centre in zip(sizes, (2e4, 4e4), strict=True):
        assert of_budget[2] == pytest.approx(centre)
        assert (of_budget[0], of_budget[-1]) == pytest.approx((centre / 4, centre * 4))
        steps = [math.log(b / a) for a, b in itertools.pairwise(of_budget)]
        assert steps == pytest.approx([math.log(2)] * 4)


def test_fixed_models_train_each_model_to_each_horizon():
    design = FixedModels(params=(1e4, 2e4), tokens_per_param=(5, 20))
    runs = list(design.runs(RECIPE))
    assert len(runs) == len({run.config.run_id for run in runs}) == 4
    for run, ratio in zip(runs, (5, 20, 5, 20), strict=True):
        params = flops.count_params(run.config.shape).total
        # Whole batches of 256 tokens.
        assert abs(run.config.tokens - ratio * params) <= 128
        assert run.budget == run.flops == 6 * params * run.config.tokens


def test_a_plan_lists_each_run_once_cheapest_first():
    plan = Study("plan", RECIPE, FixedModels((1e4, 1.0001e4, 2e4), (20, 5, 5))).plan()
    assert len(plan) == len({run.config.run_id for run in plan}) == 4
    assert [run.flops for run in plan] == sorted(run.flops for run in plan)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IsoFlop((1e11,), ()), "1 budgets but sizes for 0"),
        (lambda: IsoFlop((-1.0,), ((1e4,),)), "budget -1.0 must be positive"),
        (lambda: IsoFlop((1e11,), ((float("nan"),),)), "size nan must be positive"),
        (lambda: IsoFlop((), ()), "no budget"),
        (lambda: FixedModels((), (20,)), "no params"),
        (lambda: FixedModels((1e4,), (0,)), "tokens_per_param 0.0 must be positive"),
        (lambda: around((1e11,), params=1e4, at=1e11, exponent=0.5, width=1, n=5), "width"),
        (lambda: around((1e11,), params=1e4, at=1e11, exponent=0.5, width=2, n=1), "2 sizes"),
    ],
)
def test_a_design_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_grid_of_equal_sizes_names_what_differs_and_refuses_what_has_no_effect():
    design = ShapeGrid(at=(15e3,), tokens=(2e4, 4e4))
    runs = list(design.runs(RECIPE))
    sizes = {flops.count_params(run.config.shape).non_embedding for run in runs}
    assert max(sizes) / min(sizes) < 1.04
    assert {run.variation for run in runs} == {"base", "aspect", "heads", "feed-forward"}
    with pytest.raises(InputError, match="no shape of this family"):
        Study("none", RECIPE, ShapeGrid(at=(100,), tokens=(2e4,))).plan()
    with pytest.raises(InputError, match="both shapes and at"):
        ShapeGrid((runs[0].config.shape,), (2e4,), at=(15e3,))
    with pytest.raises(InputError, match="proportions have no effect"):
        ShapeGrid((runs[0].config.shape,), (2e4,), proportions=Proportions())


def test_grids_of_given_shapes_are_stored_as_before():
    shape = RECIPE.family.nearest(1e4)
    stored = Study("given", RECIPE, ShapeGrid((shape,), (2e4,))).describe()["design"]
    assert list(stored) == ["is", "shapes", "tokens"]
