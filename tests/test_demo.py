"""The whole job from a trained grid on: predicted before it is trained, done once."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaling_jax.accounting import flops
from scaling_jax.config import DataConfig
from scaling_jax.data import prepare
from scaling_jax.demo import FLOOR, N_BUDGETS, REACH, SIZES_PER_BUDGET, demo_study, put_to_the_test
from scaling_jax.laws.catalogue import KAPLAN
from scaling_jax.runs.result import write_result
from scaling_jax.shapes import Family
from scaling_jax.study import ComputeLR, ConstantBatch, IsoFlop, Recipe, Store, Study, around
from scaling_jax.study.store.forecasts import read_forecast
from tests.made_up import made_up_result

pytestmark = pytest.mark.usefixtures("svg_alone")

# A law of made-up losses whose optimum at 2e9 FLOPs has some 10,000 parameters.
LAW = np.array([8e3**0.8, 2e4, 0.8, 1.0, 0.15])
TARGET = 2e9


@pytest.fixture(scope="module")
def study() -> Study:
    recipe = Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=32),
        peak_lr=ComputeLR(1e-2, 1e9),
        batch_size=ConstantBatch(8),
        eval_tokens=4096,
    )
    budgets = (3e9, 6e9, 1.2e10, 2.4e10)
    sizes = around(budgets, params=13e3, at=3e9, exponent=0.55, width=2.5, n=5)
    return Study("tiny", recipe, IsoFlop(budgets, sizes))


def finish_grid(study: Study, root: Path) -> None:
    """Results for every planned run, as if it had been trained."""
    rng, text = np.random.default_rng(0), prepare("embedded", "bytes").fingerprint
    for run in Store.create(root, study).runs():
        config = run.planned.config
        values = {"params": flops.count_params(config.shape).total, "tokens": config.tokens}
        loss = float(KAPLAN.value(LAW, values)) * np.exp(0.002 * rng.normal())
        result = made_up_result(config, loss, data_fingerprint=text, device="none")
        write_result(run.directory, result, config)


def times(root: Path) -> dict[Path, int]:
    kept = (p for p in root.rglob("*") if "runs" in p.parts or p.name == "forecast.json")
    return {p: p.stat().st_mtime_ns for p in kept if p.is_file()}


@pytest.mark.filterwarnings("ignore")
def test_the_prediction_is_made_before_its_run_and_nothing_is_trained_twice(study, tmp_path):
    finish_grid(study, tmp_path)
    outcome = put_to_the_test(study, tmp_path, TARGET, floor=FLOOR, workers=1, progress=False)
    directory = tmp_path / "tiny"
    (forecast,) = read_forecast(directory / "forecast.json").runs
    assert forecast.predicted == outcome["predicted"]
    run = directory / "runs" / forecast.name
    predicted_at = (directory / "forecast.json").stat().st_mtime_ns
    assert predicted_at <= (run / "config.json").stat().st_mtime_ns
    assert outcome["error_percent"] == pytest.approx(
        100 * (outcome["measured"] / outcome["predicted"] - 1)
    )
    low, high = outcome["interval"]
    assert outcome["inside_interval"] == (low <= outcome["measured"] <= high)
    assert len(outcome["budgets"]) == 4
    assert all(o["smallest"] < o["params"] < o["largest"] for o in outcome["optima"])
    assert Path(outcome["report"]).is_file()

    before = times(tmp_path)
    again = put_to_the_test(study, tmp_path, TARGET, floor=FLOOR, workers=1, progress=False)
    assert times(tmp_path) == before
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in outcome.items() if k != "seconds"
    }


def test_the_demo_has_the_documented_design():
    planned = demo_study(3).plan()
    budgets = sorted({run.budget for run in planned})
    assert len(budgets) == N_BUDGETS
    assert budgets[-1] / budgets[0] == pytest.approx(16)
    assert REACH >= 4
    for budget in budgets:
        sizes = {run.config.shape for run in planned if run.budget == budget}
        assert len(sizes) == SIZES_PER_BUDGET >= 5
    assert all(abs(run.flops / run.budget - 1) < 0.005 for run in planned)
    assert {run.config.seed for run in planned} == {3}
    assert not any(run.config.data.repeat for run in planned)


FORMER_LR = ComputeLR(value=1.7e-2, reference_flops=2e11, exponent=-0.3)


@pytest.mark.parametrize(
    ("changes", "recipe_hash", "names_hash"),
    [
        # The demo's recipe before its rate was tuned and its weights were averaged.
        (
            {"peak_lr": FORMER_LR, "optimizer_knobs": {}},
            "6344a02629f1d573",
            "1180f22effa30553",
        ),
        ({}, "6d87f7caa3a508df", "c1f6a3a594e56ba4"),
    ],
)
def test_the_demos_runs_keep_their_names_across_versions_of_this_package(
    changes, recipe_hash, names_hash
):
    study = demo_study()
    study = replace(study, recipe=replace(study.recipe, **changes))
    assert study.recipe_hash == recipe_hash
    names = " ".join(run.config.run_id for run in study.plan())
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == names_hash
