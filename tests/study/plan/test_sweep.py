"""Sweeps train another design's runs under several recipes."""

import dataclasses

import pytest
from small_studies import RECIPE

from scaling_jax.accounting import flops
from scaling_jax.errors import InputError
from scaling_jax.study import (
    Branched,
    ConstantBatch,
    ConstantLR,
    FixedModels,
    IsoFlop,
    ShapeGrid,
    Store,
    Study,
    Sweep,
    Warmup,
    chain,
    collect,
    product,
    vary,
    zipped,
)
from scaling_jax.study.plan.sweep import varied

SHAPES = tuple(RECIPE.family.nearest(params) for params in (5e3, 10e3))


def test_a_grid_trains_each_shape_on_each_number_of_tokens():
    runs = list(ShapeGrid(SHAPES, (5120, 10240)).runs(RECIPE))
    cells = [(run.config.shape, run.config.tokens) for run in runs]
    assert cells == [(shape, tokens) for shape in SHAPES for tokens in (5120, 10240)]
    assert all(run.budget == run.flops for run in runs)


def test_a_sweep_varies_the_recipe_and_nothing_else(tmp_path):
    rates = (1e-3, 2e-3)
    settings = tuple(
        {"peak_lr": ConstantLR(rate), "optimizer_knobs": {"cycle": cycle}}
        for rate in rates
        for cycle in (1.0, 2.0)
    )
    study = Study("sweep", RECIPE, Sweep(FixedModels((5e3, 10e3), (10,)), settings))
    configs = [run.config for run in study.plan()]
    assert len(configs) == 8
    combinations = {(c.shape, c.optimizer.peak_lr, c.optimizer.cycle) for c in configs}
    assert combinations == {
        (s, rate, cycle) for s in SHAPES for rate in rates for cycle in (1.0, 2.0)
    }
    plain = {
        dataclasses.replace(c, optimizer=dataclasses.replace(c.optimizer, peak_lr=1e-2, cycle=1.0))
        for c in configs
    }
    assert plain == {run.config for run in FixedModels((5e3, 10e3), (10,)).runs(RECIPE)}
    table = collect(Store.create(tmp_path, study))
    assert sorted(zip(table.peak_lr, table.cycle, strict=True)) == sorted(
        (rate, cycle) for rate in rates for cycle in (1.0, 2.0) for _ in SHAPES
    )


FAMILIES = vary("family.activation", "gelu", "swiglu")


def batches(runs):
    """(activation, budget) -> the batches of its runs."""
    found = {}
    for run in runs:
        cell = run.config.shape.activation, run.budget
        found.setdefault(cell, set()).add(run.config.batch_size)
    return found


def exact_for(activation):
    """A budget that one sequence at a time meets, and eight do not, under one activation alone."""
    family = dataclasses.replace(RECIPE.family, activation=activation)
    shape = family.nearest(1e4)
    return 103 * flops.training_flops(shape, shape.seq_len, "6nd")


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
@pytest.mark.parametrize("nest", [lambda d: Sweep(d, FAMILIES), lambda d: nested_sweep(d)])
def test_variations_of_one_budget_have_one_batch(activation, nest):
    budget = exact_for(activation)
    design = IsoFlop((budget, 4e11), ((1e4,), (1e4,)))
    alone = [
        batches(design.runs(varied(RECIPE, variation)))[variation["family.activation"], budget]
        for variation in FAMILIES
    ]
    # Under a variation alone, the batch would be another one.
    assert len({*map(frozenset, alone)}) == 2
    found = batches(nest(design).runs(RECIPE))
    assert found["gelu", budget] == found["swiglu", budget] == {min(map(min, alone))}
    # Nothing has to be halved at the larger budget.
    assert found["gelu", 4e11] == found["swiglu", 4e11] == {8}


def nested_sweep(design):
    return Sweep(Sweep(design, FAMILIES), vary("seed", 0, 1))


def test_a_variation_of_the_batch_is_kept():
    budget = exact_for("gelu")
    design = IsoFlop((budget,), ((1e4,),))
    sweep = Sweep(design, product(vary("batch_size", 1, 8), FAMILIES))
    assert batches(sweep.runs(RECIPE))["gelu", budget] == {1}
    fine = IsoFlop((4e11,), ((1e4,),))
    sweep = Sweep(fine, product(vary("batch_size", 4, 8), FAMILIES))
    assert batches(sweep.runs(RECIPE)) == {(name, 4e11): {4, 8} for name in ("gelu", "swiglu")}


def test_branches_of_a_sweep_keep_their_trunk():
    budgets = (exact_for("gelu"), 4 * exact_for("gelu"))
    knobs = {"schedule": "wsd"}
    recipe = dataclasses.replace(
        RECIPE, optimizer_knobs=knobs, warmup=Warmup(share=0, floor=10), batch_size=ConstantBatch(1)
    )
    design = Branched(IsoFlop(budgets, ((1e4,), (1e4,))))
    runs = list(Sweep(design, FAMILIES).runs(recipe))
    ids = {run.config.run_id for run in runs}
    branched = [run.branch.trunk for run in runs if run.branch is not None]
    assert branched
    assert set(branched) <= ids


def test_what_cannot_be_swept_is_refused():
    design = FixedModels((5e3,), (10,))
    with pytest.raises(InputError, match=r"no field 'peak_rl' .*did you mean 'peak_lr'"):
        Sweep(design, ({"peak_rl": ConstantLR(1e-3)},))
    with pytest.raises(InputError, match="at least one variation"):
        Sweep(design, ())
    with pytest.raises(InputError, match="at least one shape"):
        ShapeGrid((), (1e4,))


RATES = vary("peak_lr", 1e-3, 2e-3)
CYCLES = vary("optimizer_knobs.cycle", 1.0, 2.0)


def settings(variations):
    design = FixedModels((5e3,), (10,))
    runs = Sweep(design, variations).runs(RECIPE)
    return [(run.config.optimizer.peak_lr, run.config.optimizer.cycle) for run in runs]


def test_knobs_combine_by_product_zip_and_chain():
    every = [(1e-3, 1.0), (1e-3, 2.0), (2e-3, 1.0), (2e-3, 2.0)]
    assert settings(product(RATES, CYCLES)) == every
    assert settings(zipped(RATES, CYCLES)) == [(1e-3, 1.0), (2e-3, 2.0)]
    longer = vary("peak_lr", 2e-3, 4e-3)
    assert settings(chain(RATES, longer)) == [(1e-3, 1.0), (2e-3, 1.0), (4e-3, 1.0)]
    nested = chain(product(RATES, CYCLES), zipped(longer, vary("optimizer_knobs.cycle", 3.0, 4.0)))
    assert settings(nested) == [*every, (2e-3, 3.0), (4e-3, 4.0)]


def test_a_sweep_of_a_sweep_is_their_product():
    design = FixedModels((5e3, 10e3), (10,))
    nested = {run.config.run_id for run in Sweep(Sweep(design, CYCLES), RATES).runs(RECIPE)}
    flat = {run.config.run_id for run in Sweep(design, product(RATES, CYCLES)).runs(RECIPE)}
    assert nested == flat
    assert len(flat) == 8


def test_a_path_leaves_what_lies_beside_it_alone():
    recipe = dataclasses.replace(RECIPE, optimizer_knobs={"weight_decay": 0.01})
    (run,) = Sweep(FixedModels((5e3,), (10,)), vary("optimizer_knobs.cycle", 2.0)).runs(recipe)
    assert (run.config.optimizer.cycle, run.config.optimizer.weight_decay) == (2.0, 0.01)


def test_combinations_without_a_meaning_are_refused():
    with pytest.raises(InputError, match="2 and 1 variations cannot be zipped"):
        zipped(RATES, vary("seed", 1))
    with pytest.raises(InputError, match="peak_lr is varied twice"):
        product(RATES, RATES)
    with pytest.raises(InputError, match=r"no field 'cycel' .*did you mean 'cycle'"):
        settings(vary("optimizer_knobs.cycel", 2.0))
    with pytest.raises(InputError, match=r"must be int, not 2\.5"):
        settings(vary("batch_size", 2.5))


def test_named_variations_are_the_same_runs_under_their_names(tmp_path):
    longer, plain = {"optimizer_knobs.cycle": 2.0}, {"seed": 1}
    design = FixedModels((5e3,), (10,))
    named = Study("named", RECIPE, Sweep(design, {"long": longer, "plain": plain}))
    without = Study("named", RECIPE, Sweep(design, (longer, plain)))
    ids = [[run.config.run_id for run in study.plan()] for study in (named, without)]
    assert ids[0] == ids[1]
    table = collect(Store.create(tmp_path, named)).set_index("variation")
    assert table["cycle"].to_dict() == {"long": 2.0, "plain": 1.0}
    assert {run.variation for run in without.plan()} == {"optimizer_knobs.cycle=2", "seed=1"}
    with pytest.raises(InputError, match="a variation is named ' '"):
        Sweep(design, {" ": longer})
