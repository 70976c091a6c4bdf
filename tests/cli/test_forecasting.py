"""`forecast` writes predictions down before their runs are trained; `score` compares them later."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scaling_jax.report.build import build_report
from scaling_jax.study import (
    Extrapolation,
    IsoFlop,
    PlannedRun,
    Store,
    StoredRun,
    Study,
    load_experiment,
)
from tests.study.small_studies import RECIPE, write_fake_result

RUN = "params=2e6,tokens=2e8,name=large"


@pytest.fixture
def fit(cli: Callable, table: Path, tmp_path: Path) -> Path:
    assert cli("fit", table, "--unit", "nats", "--out", tmp_path / "fit.json").code == 0
    return tmp_path / "fit.json"


@pytest.fixture
def test_run(study: Study, store: Store) -> StoredRun:
    """A planned verification run at four times the largest budget."""
    recipe, flops = study.recipe, 6.4e13
    config = recipe.for_budget(recipe.family.nearest(4e5), flops)
    return store.add(PlannedRun(config, flops, "verification", recipe.convention))


def test_a_forecast_is_frozen_and_scored(cli: Callable, fit: Path, tmp_path: Path) -> None:
    out, figure = tmp_path / "forecast.json", tmp_path / "score.svg"
    made = cli("forecast", fit, "--runs", RUN, "--runs", "params=4e6,tokens=2e8", "--out", out)
    assert made.code == 0, made.err
    assert "large" in made.out
    predicted = json.loads(out.read_text())["runs"][0]["predicted"]
    records = pd.DataFrame({"size": [2e6], "tokens": 2e8, "loss": 1.01 * predicted})
    records.to_csv(tmp_path / "later.csv", index=False)
    mapped = ("--columns", "params=size", "--unit", "nats")
    later = cli("score", out, tmp_path / "later.csv", *mapped, "--figure", figure, "--json")
    assert later.json["runs"][0]["error_percent"] == pytest.approx(1.0)
    assert later.json["not_scored"] == {"params 4e+06, tokens 2e+08": "no record of it"}
    assert figure.read_text().count("<svg") == 1
    other = cli("score", out, tmp_path / "later.csv", *mapped[:2], "--unit", "bits")
    assert (other.code, "in bits per token, and the forecast in nats" in other.err) == (2, True)


def test_a_study_is_fitted_and_its_verification_runs_are_forecast(
    cli: Callable, store: Store, test_run: StoredRun, finish: Callable
) -> None:
    out = store.directory / "forecast.json"
    made = cli("forecast", store.directory, "--out", out, "--json")
    assert [run["name"] for run in made.json["runs"]] == [test_run.run_id]
    assert made.json["recipe"]["corpus"] == "embedded"
    assert cli("score", out, store.directory).out.startswith(f"Not scored: {test_run.run_id}")
    finish(test_run, "finished")
    scored = cli("score", out, store.directory, "--json").json
    assert [run["name"] for run in scored["runs"]] == [test_run.run_id]
    # The page tests the frozen prediction, not that of another fit.
    check = build_report(store, bootstrap=20).verification
    assert check is not None
    assert list(check.interval) == scored["runs"][0]["interval"]
    again = cli("forecast", store.directory, "--out", store.directory / "late.json")
    assert (again.code, "no verification run without a result" in again.err) == (2, True)


PLAN = """
from dataclasses import replace
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Study
recipe = Recipe(
    data=DataConfig("embedded", "bytes", repeat=True), family=Family(vocab_size=256, seq_len=128),
    peak_lr=ConstantLR(3e-3), batch_size=ConstantBatch(256),
)
design = IsoFlop((1e12, 6.4e13), ((30e3, 60e3, 120e3, 240e3, 480e3),) * 2)
study = Study("larger", recipe, design)
cpu = Study("other", replace(recipe, data=DataConfig("embedded", "bytes")), design)
smoke = Study("small", recipe, IsoFlop((4e12,), ((60e3, 120e3, 240e3),)))
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "larger.py"
    path.write_text(PLAN)
    return path


@pytest.fixture
def study_fit(cli: Callable, store: Store, tmp_path: Path) -> Path:
    out = tmp_path / "study.json"
    assert cli("fit", store.directory, "--bootstrap", "20", "--out", out).code == 0
    return out


def test_runs_of_a_plan_beyond_the_data_are_forecast_and_scored_by_run_id(
    cli: Callable, study_fit: Path, plan: Path, tmp_path: Path, finish: Callable
) -> None:
    out, runs = tmp_path / "forecast.json", load_experiment(plan).plan()
    made = cli("forecast", study_fit, "--runs", plan, "--out", out, "--json")
    assert made.code == 0, made.err
    assert "5 planned runs inside the fitted data" in made.err
    beyond = [run.config.run_id for run in runs if run.budget == 6.4e13]
    assert [run["name"] for run in made.json["runs"]] == beyond
    larger = Store.create(tmp_path / "later", load_experiment(plan))
    assert f"{beyond[0]}: planned" in cli("score", out, larger.directory).out
    finish(larger.runs()[-1], "finished")
    scored = cli("score", out, larger.directory, "--json").json
    assert [run["name"] for run in scored["runs"]] == [beyond[-1]]


def test_a_plan_of_another_recipe_or_inside_the_data_is_refused(
    cli: Callable, study_fit: Path, plan: Path, tmp_path: Path
) -> None:
    def refused(runs: str) -> str:
        found = cli("forecast", study_fit, "--runs", runs, "--out", tmp_path / "forecast.json")
        assert (found.code, (tmp_path / "forecast.json").exists()) == (2, False)
        return found.err

    assert "another recipe than the fitted runs (repeat False, fitted True)" in refused(
        f"{plan}:cpu"
    )
    assert "lies inside the fitted data" in refused(f"{plan}:smoke")
    assert "'laptop' is no scale of an experiment" in refused(f"{plan}:laptop")
    assert "missing.py" in refused(str(tmp_path / "missing.py"))


def test_a_study_is_not_asked_about_planned_runs_that_it_has_trained(
    cli: Callable, store: Store, plan: Path, tmp_path: Path
) -> None:
    made = cli("forecast", store.directory, "--runs", plan, "--out", tmp_path / "f.json", "--json")
    assert (made.code, len(made.json["runs"])) == (0, 5), made.err
    assert "5 planned runs trained already" in made.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "plans no runs: give some with --runs"),
        (("--runs", "params"), "--runs params: write NAME=VALUE"),
        (("--runs", "missing.csv"), "--runs missing.csv: write NAME=VALUE"),
        (("--runs", "params=1e5,tokens=1e7"), "lies inside the fitted data"),
        (("--runs", "params=2e6,token=2e8"), "has no variable 'token'"),
        (("--runs", RUN, "--law", "kaplan"), "holds a law, so --law kaplan does not apply"),
    ],
    ids=["none", "text", "file", "inside", "unknown", "law"],
)
def test_what_cannot_be_forecast_is_refused_in_one_line(
    cli: Callable, fit: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    refused = cli("forecast", fit, "--out", tmp_path / "forecast.json", *options)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert message in refused.err
    assert not (tmp_path / "forecast.json").exists()


def test_a_forecast_is_never_replaced_and_a_changed_one_is_named(
    cli: Callable, fit: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "forecast.json"
    assert cli("forecast", fit, "--runs", RUN, "--out", out).code == 0
    before = out.read_text()
    again = cli("forecast", fit, "--runs", RUN, "--out", out)
    assert again.code == 2
    assert f"{out} exists, and a forecast is never replaced" in again.err
    assert out.read_text() == before
    nothing = cli("score", out, table, "--figure", tmp_path / "score.svg")
    assert (nothing.code, "nothing to draw" in nothing.err) == (2, True)
    out.write_text(before.replace('"level": 0.9', '"level": 0.5'))
    changed = cli("score", out, table)
    assert changed.code == 2
    assert f"{out}: this forecast was changed after it was written" in changed.err


def test_a_floor_that_the_design_states_and_a_fit_leaves_out_is_named(
    cli: Callable, tmp_path: Path
) -> None:
    ladder = IsoFlop((1e9, 2e9, 4e9), ((4e3, 6e3, 9e3, 14e3),) * 3)
    design = Extrapolation(ladder, budget=8e10, params=3e4, floor=(1.2, 0.3))
    store = Store.create(tmp_path, Study("far", RECIPE, design))
    for run in store.runs():
        if run.planned.role == "grid":
            tokens = run.planned.config.tokens
            size = run.planned.flops / 6 / tokens
            write_fake_result(run, loss=1.2 + 20 / size**0.4 + 30 / tokens**0.35)
    fit = ("fit", store.directory, "--bootstrap", 0)
    named = cli(*fit).err
    assert "does not use the floor E = 1.2 ± 0.3" in named
    assert "fit with --prior E=1.2:0.3" in named
    for used in (("--prior", "E=1.2:0.3"), ("--hold", "E=1.2")):
        assert "floor E" not in cli(*fit, *used).err
    assert "does not use the floor" in cli("predict", store.directory, "--flops", 1e11).err
