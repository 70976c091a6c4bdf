"""A forecast freezes what the fit predicts of runs beyond its data, and can be read again."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.stored import digest, sha256_of

WIDTHS = (0.25, 0.5, 1, 2, 4)
LARGE = {"name": "large", "params": 1e9, "tokens": 2e10}


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    params, tokens = (
        grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 6.4e7, 5), np.geomspace(2e8, 4e9, 4))
    )
    loss = (1.7 + 300 / params**0.34 + 400 / tokens**0.3) * np.exp(0.003 * rng.normal(size=20))
    facts = {"optimizer": "adamw", "seq_len": 512, "tied_embedding": True, "peak_lr": 1e-3}
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss, **facts})


def isoflops() -> pd.DataFrame:
    budgets = (1e18, 4e18, 1.6e19)
    sizes = [(budget, budget**0.5 / 20 * width) for budget in budgets for width in WIDTHS]
    frame = pd.DataFrame(sizes, columns=["budget", "params"])
    frame["tokens"] = frame["budget"] / 6 / frame["params"]
    frame["loss"] = 1.7 + 300 / frame["params"] ** 0.34 + 400 / frame["tokens"] ** 0.3
    return frame


@pytest.fixture(scope="module")
def fit() -> laws.Fit:
    return laws.fit(table(), bootstrap=50, unit="nats")


def test_it_holds_what_the_fit_predicts_and_what_made_it(fit: laws.Fit) -> None:
    made = laws.forecast(fit, LARGE)
    expected = fit.predict(params=1e9, tokens=2e10)
    (run,) = made.runs
    assert (run.name, run.predicted, run.interval) == ("large", expected.loss, expected.interval)
    assert run.extrapolation == expected.extrapolation
    assert made.unit == "nats per token"
    assert made.fit_sha256 == json.loads(fit.to_json())["sha256"] == sha256_of(fit)
    assert made.made.endswith("+00:00")
    # The learning rate may follow a rule, so a larger run of the recipe can have another.
    assert made.recipe == {"optimizer": "adamw", "seq_len": 512, "tied_embedding": True}


def test_it_is_the_same_by_a_fit_that_was_stored(fit: laws.Fit, tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_text(fit.to_json())
    again = laws.forecast(laws.Fit.read(tmp_path / "fit.json"), LARGE)
    made = laws.forecast(fit, LARGE)
    assert dataclasses.replace(again, made=made.made) == made


def test_it_is_read_as_it_was_written(fit: laws.Fit) -> None:
    made = laws.forecast(fit, [LARGE, {"params": 2e9, "tokens": 2e10}])
    assert laws.Forecast.from_json(made.to_json()) == made
    assert [run.name for run in made.runs] == ["large", "params 2e+09, tokens 2e+10"]


def test_runs_come_from_tables_too(fit: laws.Fit, tmp_path: Path) -> None:
    plan = pd.DataFrame({"run_id": ["a", "b"], "params": [1e9, 2e9], "tokens": 2e10, "note": "x"})
    plan.to_csv(tmp_path / "plan.csv", index=False)
    by_file = laws.forecast(fit, [tmp_path / "plan.csv", LARGE])
    assert [run.name for run in by_file.runs] == ["a", "b", "large"]
    assert laws.forecast(fit, plan).runs == by_file.runs[:2]
    plan.assign(tokens=["2e10", "many"]).to_csv(tmp_path / "plan.csv", index=False)
    with pytest.raises(InputError, match=r"plan.csv, line 3: .*'many': give numbers"):
        laws.forecast(fit, tmp_path / "plan.csv")


def test_a_run_of_another_count_of_params_is_read_from_its_column() -> None:
    counted = table().assign(params_non_embedding=lambda frame: frame["params"] / 2)
    fit = laws.fit(counted, count="non_embedding", bootstrap=20)
    plan = pd.DataFrame({"params": [2e9], "params_non_embedding": [1e9], "tokens": 2e10})
    assert laws.forecast(fit, plan).runs[0].variables["params"] == 1e9
    with pytest.raises(InputError, match="no column 'params_non_embedding'"):
        laws.forecast(fit, plan.drop(columns="params_non_embedding"))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "no runs to forecast"),
        ({"params": 1e7, "tokens": 1e9}, "lies inside the fitted data .*params 1e.07 of 1e.06"),
        ({"params": 6.41e7, "tokens": 4.01e9}, "lies inside the fitted data"),
        ({**LARGE, "width": 3}, "run 'large': the law 'chinchilla' has no variable 'width'"),
        ({"params": 1e9}, "needs 'tokens'"),
        ({**LARGE, "tokens": "many"}, "run 'large': could not convert .*'many'.*: give numbers"),
        ({**LARGE, "tokens": math.nan}, "run 'large': tokens nan must be positive"),
        ([LARGE, LARGE], "run 'large' is there twice"),
        ("plan.txt", "plan.txt"),
        (3, "int is no table"),
    ],
    ids=["none", "inside", "edge", "unknown", "missing", "text", "nan", "twice", "file", "number"],
)
def test_runs_that_cannot_be_forecast_are_refused(fit: laws.Fit, runs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        laws.forecast(fit, runs)


def test_a_fit_that_bounds_nothing_is_refused(fit: laws.Fit) -> None:
    with pytest.raises(InputError, match="no intervals, and a forecast without them"):
        laws.forecast(laws.fit(table(), bootstrap=0), LARGE)
    frontier = laws.fit(isoflops(), approach=2, bootstrap=20)
    with pytest.raises(InputError, match="approach 2 fits the optimum, not the loss"):
        laws.forecast(frontier, LARGE)


def test_a_changed_file_is_refused(fit: laws.Fit) -> None:
    text = laws.forecast(fit, LARGE).to_json()
    data = json.loads(text)
    data["runs"][0]["predicted"] *= 0.99
    with pytest.raises(InputError, match="this forecast was changed after it was written"):
        laws.Forecast.from_json(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forecast": 9}, "has format 9, but this package reads 1"),
        ({"runs": []}, "not a forecast written by scaling_jax"),
        ({"level": "high"}, "not a forecast written by scaling_jax"),
        ({"runs": [{"name": "x"}]}, "not a forecast written by scaling_jax"),
        ({"made": "yesterday"}, "not a forecast written by scaling_jax"),
    ],
    ids=["format", "no runs", "level", "run", "date"],
)
def test_what_is_no_forecast_is_refused(fit: laws.Fit, change: dict, message: str) -> None:
    data = {**json.loads(laws.forecast(fit, LARGE).to_json()), **change}
    with pytest.raises(InputError, match=message):
        laws.Forecast.from_json(json.dumps({**data, "sha256": digest(data)}))
    with pytest.raises(InputError, match="not a forecast"):
        laws.Forecast.from_json(fit.to_json())
