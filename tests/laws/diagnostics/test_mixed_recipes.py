"""Notes on what a table mixes and which runs it lacks."""

import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.diagnostics.mixed_recipes import recipe_of

BUDGETS = (1e18, 4e18, 1.6e19)


def law(params, tokens):
    return 1.7 + 400 / params**0.34 + 400 / tokens**0.3


def table(**columns):
    rows = [
        dict(
            params=n,
            tokens=c / 6 / n,
            budget=c,
            loss=1.7 + 400 / n**0.34 + 400 / (c / 6 / n) ** 0.3,
        )
        for c in BUDGETS
        for n in (5e7, 1e8, 2e8, 4e8)
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_one_recipe_has_no_note():
    one = table(optimizer="adamw", peak_lr=lambda t: 1e-2 * t["params"] ** -0.2, seed=0)
    again = one.assign(seed=1, loss=one["loss"] * 1.001)
    assert laws.mixed_knobs(pd.concat([one, again])) == []


@pytest.mark.parametrize(
    ("knob", "values"),
    [
        ("optimizer", ("adamw", "muon")),
        ("weight_decay", (0.1, 0.01)),
        ("tokenizer", ("a", "b")),
        ("n_experts", (1, 8)),
    ],
)
def test_several_values_of_what_a_recipe_holds_constant_are_reported(knob, values):
    both = pd.concat([table(**{knob: value}) for value in values], ignore_index=True)
    (sentence,) = laws.mixed_knobs(both)
    assert f"Runs of different {knob} (" in sentence
    assert all(f"{value}" in sentence for value in values)
    assert sentence in laws.fit(both, bootstrap=0).diagnostics


def test_two_learning_rates_at_one_size_and_length():
    slow, fast = table(peak_lr=1e-3), table(peak_lr=2e-3)
    # Whole steps of another batch end a little elsewhere.
    fast["tokens"] *= 1.004
    (sentence,) = laws.mixed_knobs(pd.concat([slow, fast]))
    assert "same size and length differ in peak_lr (0.001, 0.002)" in sentence


def test_shapes_of_one_size_that_differ_otherwise_are_reported():
    wide, narrow = table(n_heads=8, d_model=64), table(n_heads=4, d_model=64)
    (sentence,) = laws.mixed_knobs(pd.concat([wide, narrow]))
    assert "same size and length differ in n_heads (4, 8)" in sentence
    follows = table(n_heads=lambda t: t["params"] // 1e7, d_model=lambda t: t["params"] // 1e6)
    assert laws.mixed_knobs(follows) == []


def test_variations_that_no_column_tells_apart_are_reported_unless_they_are_seeds():
    seeds = [table(variation=f"seed={seed}") for seed in (0, 1)]
    assert laws.mixed_knobs(pd.concat(seeds)) == []
    deep = table(variation="family.aspect=32, seed=0").assign(params=lambda t: 1.1 * t["params"])
    wide = table(variation="family.aspect=64, seed=0")
    (sentence,) = laws.mixed_knobs(pd.concat([deep, wide]))
    assert "2 variations of a sweep (family.aspect=32, family.aspect=64)" in sentence


def test_a_column_of_numbers_and_texts_is_listed():
    (sentence,) = laws.mixed_knobs(pd.concat([table(repeat=1), table(repeat="no")]))
    assert "different repeat (1, no)" in sentence


def test_runs_that_are_not_fitted_cannot_mix():
    both = pd.concat([table(precision="float32"), table(precision="bfloat16").iloc[:1]])
    assert laws.mixed_knobs(both.assign(role=["grid"] * 12 + ["verification"])) == []
    assert laws.mixed_knobs(both.assign(status=["finished"] * 12 + ["diverged"])) == []


def test_missing_runs_are_counted_by_budget():
    status = ["finished"] * 12
    status[1] = status[2] = "planned"
    status[11] = "diverged"
    (sentence,) = laws.missing_runs(table(status=status))
    assert sentence.endswith("2 of 4 at 1e+18 FLOPs, 1 of 4 at 1.6e+19 FLOPs.")
    fit = laws.fit(table(status=status), bootstrap=0)
    assert sentence in fit.diagnostics
    assert fit.n_points == 9
    assert laws.missing_runs(table()) == laws.missing_runs(table(status="finished")) == []


def test_a_recipe_is_what_all_fitted_runs_have_in_common() -> None:
    table = pd.DataFrame(
        {
            "loss": [2.0, 2.1, 2.2],
            "role": ["grid", "grid", "verification"],
            "optimizer": ["muon", "muon", "adamw"],
            "seq_len": [512, 1024, 512],
            "tied_embedding": [True, None, True],
            "peak_lr": 1e-3,
        }
    )
    assert recipe_of(table) == {"optimizer": "muon", "tied_embedding": True}
