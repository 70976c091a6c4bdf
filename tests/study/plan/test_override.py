"""A study with settings changed from outside is the study whose file says so."""

import dataclasses

import pytest
from small_studies import RECIPE, small_study

from scaling_jax.config import LogSpaced, Shape
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    FixedModels,
    IsoFlop,
    PowerLawLR,
    ShapeGrid,
    Store,
    Study,
    Sweep,
    Warmup,
    vary,
)
from scaling_jax.study.plan.overrides import override


@pytest.mark.parametrize(
    ("setting", "change"),
    [
        ("recipe.peak_lr=3e-3", dict(peak_lr=ConstantLR(3e-3))),
        ("recipe.peak_lr.value=2e-2", dict(peak_lr=ConstantLR(2e-2))),
        (
            "recipe.peak_lr=PowerLawLR(value=6e-3, reference_params=6e4)",
            dict(peak_lr=PowerLawLR(6e-3, 6e4)),
        ),
        ("recipe.batch_size=4", dict(batch_size=ConstantBatch(4))),
        ("recipe.warmup.share=0.1", dict(warmup=Warmup(share=0.1))),
        ("recipe.family.activation=swiglu", dict(family=Family(256, 32, activation="swiglu"))),
        ("recipe.optimizer_knobs.weight_decay=0", dict(optimizer_knobs={"weight_decay": 0.0})),
        ("recipe.optimizer_knobs.name=muon", dict(optimizer_knobs={"name": "muon"})),
        ("recipe.precision=bfloat16", dict(precision="bfloat16")),
        ("recipe.eval_tokens=1e4", dict(eval_tokens=10_000)),
        ("recipe.eval_every=1e4", dict(eval_every=10_000)),
        ("recipe.eval_every=LogSpaced(points=5)", dict(eval_every=LogSpaced(5))),
        ("recipe.data.repeat=true", dict(data=dataclasses.replace(RECIPE.data, repeat=True))),
    ],
)
def test_a_setting_is_what_the_file_would_say(setting, change):
    changed = override(small_study(), [setting])
    assert changed == small_study(**change)
    assert changed.plan() != small_study().plan()


def test_settings_apply_in_turn_and_reach_the_design_and_the_name():
    changed = override(
        small_study(),
        ["design.budgets=2e9, 3e9", "design.budgets=2e9, 8e9", "name=other"],
    )
    assert changed == small_study(2e9, 8e9, name="other")


@pytest.mark.parametrize(
    ("text", "design"),
    [
        (
            "FixedModels(params=(5e3, 10000), tokens_per_param=[10])",
            FixedModels((5e3, 1e4), (10.0,)),
        ),
        ("IsoFlop(budgets=(2e9,), sizes=((5e3, 1e4),))", IsoFlop((2e9,), ((5e3, 1e4),))),
        (
            "ShapeGrid(shapes=(Shape(n_layers=1, d_model=8, n_heads=2, d_ff=32, vocab_size=256, "
            "seq_len=32),), tokens=(5120,))",
            ShapeGrid((Shape(1, 8, 2, 32, 256, 32),), (5120,)),
        ),
        (
            "Sweep(design=FixedModels(params=(5e3,), tokens_per_param=(10,)), "
            "variations=({'seed': 1}, {'seed': 2}))",
            Sweep(FixedModels((5e3,), (10,)), vary("seed", 1, 2)),
        ),
    ],
    ids=["numbers", "lists of numbers", "shapes", "a design within"],
)
def test_a_design_is_written_as_in_python(text, design):
    assert override(small_study(), [f"design={text}"]) == small_study_of(design)


def small_study_of(design):
    return dataclasses.replace(small_study(), design=design)


def test_the_value_it_has_already_is_no_mistake():
    assert override(small_study(), ["recipe.seed=0"]) == small_study()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("recipe.peek_lr=1", "no field 'peek_lr' .*did you mean 'peak_lr'"),
        ("peak_lr=1", "did you mean 'recipe.peak_lr'"),
        ("recipe.optimizer_knobs.weight_decy=0", "did you mean 'weight_decay'"),
        ("recipe.optimizer_knobs.peak_lr=1", "which the recipe's rule for it does"),
        ("recipe.optimizer_knobs.name=moun", "did you mean 'muon'"),
        ("recipe.precision=bf16", "did you mean 'bfloat16'"),
        ("recipe.peak_lr=PowerLaw(value=1)", "did you mean 'PowerLawLR'"),
        ("recipe.peak_lr=PowerLawLR(value=1)", "lacks the field 'reference_params'"),
        ("recipe.peak_lr=PowerLawLR(1, 2)", "without names"),
        (
            "recipe.peak_lr=-3",
            r"peak_lr rule ConstantLR\(value=-3.0\) gives -3.0: it must be positive",
        ),
        ("recipe.batch_size=2.5", "must be int, not 2.5"),
        ("recipe.seed=1.5", "must be int, not '1.5'"),
        ("recipe.seed.x=1", "has no fields"),
        ("recipe.data.repeat=yes", "must be bool"),
        ("recipe.optimizer_knobs=3", "cannot be set from text"),
        ("design.budgets=1e9", "must be several values"),
        ("design.budgets=1e9, 2e9, 3e9", "3 budgets but sizes for 2"),
        ("design=FixedModels(params=5e3, tokens_per_param=(1,))", "params must be tuple, not 5000"),
        ("design=FixedModels(params=('a',), tokens_per_param=(1,))", r"params\[0\] must be float"),
        ("design=FixedModels(params=(x,), tokens_per_param=(1,))", "cannot be .FixedModels"),
        ("design=FixedModels(params={[]: 1}, tokens_per_param=(1,))", "cannot be .FixedModels"),
        ("design=FixedModels(params=(1e3,), tokens_per_param=(-1,))", "-1.0 must be positive"),
        ("design=Sweep(design=Fixed(), variations=())", "did you mean 'FixedModels'"),
        ("design=" + "(" * 99, "cannot be"),
        ("recipe.batch_size=ConstantBatch(sequences=(1, 2))", r"must be int, not \(1, 2\)"),
        ("name=a b", "study name 'a b'"),
        ("recipe.seed", "write PATH=VALUE"),
    ],
)
def test_what_does_not_do_is_refused_with_the_remedy(setting, message):
    with pytest.raises(InputError, match=rf"^--set {setting.partition('(')[0]}.*{message}"):
        override(small_study(), [setting])


def test_a_setting_that_the_design_overrules_is_refused():
    rates = tuple({"peak_lr": ConstantLR(rate)} for rate in (1e-3, 2e-3))
    study = Study("sweep", RECIPE, Sweep(FixedModels((5e3,), (10,)), rates))
    with pytest.raises(InputError, match="changes none of the runs"):
        override(study, ["recipe.peak_lr=5e-3"])


def test_a_root_names_what_is_different_there(tmp_path):
    Store.create(tmp_path, small_study())
    changed = override(small_study(), ["recipe.peak_lr=3e-3", "recipe.seed=1"])
    message = r"recipe.peak_lr.value is 0.01 there and 0.003 here; recipe.seed is 0 there and 1"
    with pytest.raises(InputError, match=message):
        Store.create(tmp_path, changed)
    renamed = Store.create(tmp_path, override(changed, ["name=slower"]))
    assert not {run.run_id for run in renamed.runs()} & {
        run.run_id for run in Store.open(tmp_path / "small").runs()
    }


def test_another_design_extends_the_store(tmp_path):
    Store.create(tmp_path, small_study())
    more = override(small_study(), ["design.budgets=2e9, 8e9"])
    assert isinstance(more.design, IsoFlop)
    assert len(Store.create(tmp_path, more).runs()) == 6
