"""Recipes turn a shape and a budget into a run by the published rules."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from small_studies import RECIPE

from scaling_jax.accounting import flops
from scaling_jax.accounting.flops import count_params
from scaling_jax.config import OptimizerConfig
from scaling_jax.config.parameterization import Parameterization
from scaling_jax.errors import InputError
from scaling_jax.shapes import CHINCHILLA_SHAPES
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    PowerLawBatch,
    PowerLawLR,
    ScaledByBatch,
    ShapeTable,
    Warmup,
)
from scaling_jax.study.plan.description import stored_form

SHAPE = RECIPE.family.nearest(2e4)
PARAMS = count_params(SHAPE).total
MUP = Parameterization("mup", base_d_model=8, base_head_dim=4)


@pytest.mark.parametrize(
    ("steps", "warmup"), [(1000, 50), (100, 10), (16, 8), (3, 1), (2, 1), (1_000_000, 2000)]
)
def test_the_warm_up_is_a_share_between_a_floor_and_a_ceiling_and_at_most_half(steps, warmup):
    assert Warmup(share=0.05, floor=10, ceiling=2000)(steps) == warmup


def test_a_run_carries_what_the_recipe_says():
    recipe = replace(
        RECIPE,
        peak_lr=PowerLawLR(3e-3, 1e4),
        warmup=Warmup(share=0.1),
        optimizer_knobs={"beta2": 0.98, "name": "muon", "schedule": "wsd"},
        parameterization=MUP,
        precision="bfloat16",
        seed=7,
    )
    config = recipe.for_tokens(SHAPE, 100 * 8 * 32)
    peak = config.optimizer.peak_lr
    assert peak == pytest.approx(3e-3 * (PARAMS / 1e4) ** (-1 / 3), rel=1e-5)
    assert config.optimizer == OptimizerConfig(peak, 10, "muon", "wsd", beta2=0.98)
    assert (config.steps, config.batch_size, config.seed) == (100, 8, 7)
    assert (config.precision, config.eval_tokens) == ("bfloat16", RECIPE.eval_tokens)
    assert config.parameterization == MUP
    assert (config.data, config.shape) == (RECIPE.data, SHAPE)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"beta_2": 0.98}, "has no field 'beta_2'.*did you mean 'beta2'"),
        ({"clip_norm": "1"}, "clip_norm must be float"),
        ({"name": "lion"}, "name is 'lion' .*there is adamw, adam, adafactor, muon"),
        ({"peak_lr": 1e-3}, "peak_lr.*rule"),
    ],
)
def test_a_knob_the_optimizer_does_not_have_is_refused(knobs, message):
    with pytest.raises(InputError, match=message):
        replace(RECIPE, optimizer_knobs=knobs).for_tokens(SHAPE, 25600)


def test_the_batch_is_halved_where_whole_steps_are_too_coarse():
    per_sequence = flops.training_flops(SHAPE, SHAPE.seq_len, "6nd")
    # 103 sequences: 13 batches of 8 are 1 % too many, 103 of one are exact.
    coarse = RECIPE.for_budget(SHAPE, 103 * per_sequence)
    assert (coarse.batch_size, coarse.steps) == (1, 103)
    fine = RECIPE.for_budget(SHAPE, 8 * 500 * per_sequence)
    assert (fine.batch_size, fine.steps) == (8, 500)


@pytest.mark.parametrize("share", [1.6, 0.4, 0.001])
def test_a_budget_too_small_for_the_shape_is_refused(share):
    per_sequence = flops.training_flops(SHAPE, SHAPE.seq_len, "6nd")
    with pytest.raises(InputError, match=f"too small for a shape of {PARAMS} parameters"):
        RECIPE.for_budget(SHAPE, share * per_sequence)


def test_a_horizon_of_less_than_two_batches_is_refused():
    with pytest.raises(InputError, match="fewer than two batches"):
        RECIPE.for_tokens(SHAPE, 1.4 * 8 * 32)


def test_rules_of_another_kind_need_only_be_functions():
    @dataclass(frozen=True)
    class Halved:
        rule: object

        def __call__(self, *args):
            return self.rule(*args) / 2

    config = replace(RECIPE, peak_lr=Halved(ConstantLR(0.02))).for_tokens(SHAPE, 5120)
    assert config.optimizer.peak_lr == 0.01
    assert replace(RECIPE, batch_size=ConstantBatch(4)).for_tokens(SHAPE, 5120).steps == 40


def per_sequence(shape, tokens, *, batch_size):
    return batch_size / 1000


def test_a_learning_rate_rule_sees_the_batch_that_is_used():
    budget = 103 * flops.training_flops(SHAPE, SHAPE.seq_len, "6nd")
    recipe = replace(RECIPE, peak_lr=per_sequence, batch_size=PowerLawBatch(8, PARAMS))
    halved = recipe.for_budget(SHAPE, budget)
    assert (recipe.wanted_batch(SHAPE, budget), halved.batch_size) == (8, 1)
    assert halved.optimizer.peak_lr == 1e-3
    assert recipe.for_tokens(SHAPE, 25600).optimizer.peak_lr == 8e-3
    scaled = replace(recipe, peak_lr=ScaledByBatch(ConstantLR(4e-3), sequences=4))
    assert scaled.for_budget(SHAPE, budget).optimizer.peak_lr == pytest.approx(2e-3)
    assert scaled.for_tokens(SHAPE, 25600).optimizer.peak_lr == pytest.approx(4e-3 * 2**0.5, 1e-5)


def fails(shape, tokens):
    return 1 / 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peak_lr": 3e-3}, r"peak_lr 0.003 is not a rule: write one, such as ConstantLR"),
        ({"batch_size": 8}, r"batch_size 8 is not a rule: write one, such as ConstantBatch"),
        ({"batch_size": ConstantBatch(0)}, r"rule ConstantBatch\(sequences=0\) gives 0: it must"),
        ({"batch_size": lambda shape, tokens: None}, "gives None must be a whole number"),
        ({"batch_size": ConstantBatch(7.5)}, "gives 7.5 must be a whole number, such as 8"),
        ({"peak_lr": lambda shape, tokens: "a"}, "gives 'a' must be a number"),
        ({"peak_lr": lambda shape: 1e-3}, "fails .TypeError.*called with a shape and a number"),
        ({"peak_lr": fails}, "the recipe's peak_lr rule fails fails .ZeroDivisionError"),
        ({"seed": 1.5}, "seed 1.5 must be a whole number"),
    ],
)
def test_what_is_no_rule_or_gives_no_number_is_refused(changes, message):
    for make in (lambda r: r.for_tokens(SHAPE, 51200), lambda r: r.for_budget(SHAPE, 1e12)):
        with pytest.raises(InputError, match=message):
            make(replace(RECIPE, **changes))


def test_numbers_of_numpy_are_those_of_python():
    ours = replace(RECIPE, peak_lr=ConstantLR(0.5), batch_size=ConstantBatch(8), seed=1)
    numpys = replace(
        ours,
        peak_lr=ConstantLR(np.float32(0.5)),
        batch_size=ConstantBatch(np.int64(8)),
        seed=np.int64(1),
    )
    assert ours.for_tokens(SHAPE, 5120).to_json() == numpys.for_tokens(SHAPE, 5120).to_json()
    assert json.dumps(stored_form(numpys)) == json.dumps(stored_form(ours))


def test_a_table_gives_its_nearest_row_and_refuses_what_is_far_from_all():
    table = ShapeTable(CHINCHILLA_SHAPES)
    sizes = [count_params(shape).total for shape in CHINCHILLA_SHAPES]
    assert table.nearest(sizes[3] * 1.001) == CHINCHILLA_SHAPES[3]
    with pytest.raises(InputError, match="choose sizes from"):
        table.nearest(sizes[0] / 2)
