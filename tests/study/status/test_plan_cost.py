"""What a plan costs and what its design cannot identify, as a Python user reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest
from small_studies import RECIPE, small_study

from scaling_jax.accounting import flops
from scaling_jax.config import EvalSet, LogSpaced, NoiseScale
from scaling_jax.errors import InputError
from scaling_jax.study import (
    ConstantBatch,
    ConstantLR,
    FixedModels,
    IsoFlop,
    PlannedRun,
    Recipe,
    Study,
    Sweep,
    vary,
)
from scaling_jax.study.status import (
    Machine,
    cost,
    design_warnings,
    plan_data,
    plan_summary,
    plan_table,
)


def test_a_plan_is_priced_run_by_run():
    study = small_study()
    plan = cost(study, Machine("v5e", chips=2, price=3.0))
    assert set(plan.runs) == set(study.plan())
    assert plan.price == pytest.approx(3.0 * 2 * plan.seconds / 3600)
    data = plan_data(plan)
    assert [run["run_id"] for run in data["runs"]] == [run.config.run_id for run in plan.runs]
    header, *rows = str(plan_table(plan)).splitlines()
    assert header.endswith("price")
    assert len(rows) == len(plan.runs)
    assert f"{study.name}: {len(plan.runs)} runs" in plan_summary(plan)


def test_a_batch_halved_to_meet_a_budget_is_warned_of():
    shape = RECIPE.family.nearest(1e4)
    coarse = 103 * flops.training_flops(shape, shape.seq_len, "6nd")
    budgets = (coarse, 1e11, 4e11)
    study = Study("halved", RECIPE, IsoFlop(budgets, ((1e4,), (1e4, 2e4), (1e4, 2e4))))
    (warning,) = design_warnings(study)
    assert f"batch of 1 runs is smaller (8 to 1 at {coarse:.3g} FLOPs)" in warning
    # Under each variation of a sweep the batch is compared with that variation's own rule.
    sweep = Sweep(study.design, vary("batch_size", 1, 8))
    (warning,) = design_warnings(replace(study, design=sweep))
    assert f"batch of 1 runs is smaller (8 to 1 at {coarse:.3g} FLOPs)" in warning
    whole = Study("whole", RECIPE, IsoFlop((5e10, 1e11, 4e11), ((1e4, 2e4),) * 3))
    assert design_warnings(whole) == []


@dataclass(frozen=True)
class BothRecipes:
    """A design of a user's own: runs by the study's recipe, and by one with a rule of its own."""

    budgets: tuple[float, ...]

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """Two sizes at each budget by each recipe."""
        tuned = replace(recipe, batch_size=ConstantBatch(2), peak_lr=ConstantLR(3e-3))
        for budget, params, each in product(self.budgets, (1e4, 2e4), (recipe, tuned)):
            config = each.for_budget(recipe.family.nearest(params), budget)
            yield PlannedRun(config, budget, "grid", recipe.convention)


def test_the_batch_of_another_rule_in_a_users_design_counts_as_no_halved_batch():
    study = Study("both", RECIPE, BothRecipes((5e10, 1e11, 4e11)))
    assert design_warnings(study) == []


def test_a_plan_carries_the_warnings_of_its_design():
    small = small_study()
    study = Study("one-size", small.recipe, FixedModels((2e4,), (5, 20, 80)))
    (warning,) = design_warnings(study)
    assert "same N" in warning
    assert cost(study, Machine("v5e")).warnings == (warning,)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (Machine("h900"), "h900"),
        (Machine("v5e", price=-1.0), "price -1.0 must be finite and not negative"),
        (Machine("v5e", chips=3), "does not divide"),
    ],
)
def test_a_machine_that_makes_no_sense_is_refused(machine, message):
    with pytest.raises(InputError, match=message):
        cost(small_study(), machine)


def test_a_plan_counts_and_warns_of_evaluation():
    plain = cost(small_study(), Machine("v5e"))
    assert "Held-out evaluation comes on top" in plan_summary(plain)
    study = small_study(
        eval_every=LogSpaced(points=8),
        curve_tokens=RECIPE.eval_tokens,
        evals=(EvalSet("code", "stdlib"),),
    )
    plan = cost(study, Machine("v5e"))
    # The end and the points before it, on two sets instead of one.
    expected = sum(
        2 * len(run.config.evaluation_steps) * alone.measurements.at_end
        for run, alone in zip(plan.runs, plain.costs, strict=True)
    )
    assert plan.evaluation_flops == plan_data(plan)["evaluation_flops"] == expected
    (warning,) = (each for each in plan.warnings if "Evaluation along" in each)
    assert "curve_tokens" in warning
    assert "on 2 sets comes on top" in plan_summary(plan)


def test_a_plan_counts_tasks_and_gradient_noise(tmp_path):
    path = tmp_path / "task.jsonl"
    rows = [{"context": f"{i}", "continuations": [" a", " b"], "gold": i % 2} for i in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = dict(eval_every=LogSpaced(points=8), noise_scale=NoiseScale(sequences=8))
    study = small_study(evals=(EvalSet("words", f"task:{path}?curve=5"),), **known)
    plan, plain = cost(study, Machine("v5e")), cost(small_study(**known), Machine("v5e"))
    for run, ours, theirs in zip(plan.runs, plan.costs, plain.costs, strict=True):
        config = run.config
        # Two answers to each question, in a context of 32.
        each = 2 * flops.forward_ops(config.shape).total
        points = len(config.evaluation_steps) - 1
        assert ours.measurements.at_end - theirs.measurements.at_end == 10 * each
        assert ours.measurements.along - theirs.measurements.along == 5 * points * each
        once = flops.training_flops(config.shape, 2 * 8 * config.shape.seq_len)
        assert ours.measurements.noise == len(config.noise_steps) * once
    summary = plan_summary(plan)
    assert "on 1 set and 1 task comes on top" in summary
    assert "Measurements of the gradient noise take" in summary
    assert plan_data(plan)["noise_scale_flops"] == plan.noise_flops > 0
    broken = replace(study, recipe=replace(study.recipe, evals=(EvalSet("no", "task:absent"),)))
    assert cost(broken, Machine("v5e")).costs == plain.costs
