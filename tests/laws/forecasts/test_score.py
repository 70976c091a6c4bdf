"""A forecast is compared with the measurements of its runs, and with no others."""

import math

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError

SETTINGS = {"optimizer": "adamw", "seq_len": 512}


def run(name: str, predicted: float, half: float, params: float) -> laws.ForecastRun:
    at = {"params": params, "tokens": 2e10}
    return laws.ForecastRun(name, at, predicted, (predicted - half, predicted + half), 10.0)


def forecast(**changes: object) -> laws.Forecast:
    content: dict = dict(
        runs=(run("a", 2.0, 0.1, 1e9), run("b", 1.8, 0.05, 4e9)),
        law="chinchilla",
        response="loss",
        unit="nats per token",
        count="total",
        level=0.9,
        made="2026-01-01T00:00:00+00:00",
        version="0.1.0",
        fit_sha256="0" * 64,
        records="1" * 64,
        recipe=SETTINGS,
    )
    return laws.Forecast(**{**content, **changes})


def records(**changes: object) -> pd.DataFrame:
    content: dict = {
        **{"run_id": ["a", "b", "old"], "params": [1e9, 4e9, 1e8], "tokens": 2e10},
        **{"loss": [2.04, 1.70, 2.5], **SETTINGS},
    }
    return pd.DataFrame({**content, **changes})


def test_errors_coverage_and_interval_scores_are_those_of_their_definitions() -> None:
    found = laws.score(forecast(), records())
    assert [each.inside_interval for each in found.runs] == [True, False]
    assert [each.error_percent for each in found.runs] == pytest.approx([2.0, -100 * 0.1 / 1.8])
    assert found.median_error_percent == pytest.approx((2.0 + 100 * 0.1 / 1.8) / 2)
    assert found.mean_error_percent == pytest.approx((2.0 - 100 * 0.1 / 1.8) / 2)
    assert found.coverage == 0.5
    # The second run misses an interval of width 0.1 by 0.05.
    scores = [100 * 0.2 / 2.04, 100 * (0.1 + 20 * 0.05) / 1.70]
    assert [each.interval_score_percent for each in found.runs] == pytest.approx(scores)
    assert found.interval_score_percent == pytest.approx(np.mean(scores))
    assert (found.not_scored, found.n_others) == ({}, 1)
    assert "1 of 2 inside the 90 % interval" in str(found).replace("\u00a0", " ")


def test_without_names_the_variables_tell_the_runs() -> None:
    # The records' runs are rounded to whole steps.
    unnamed = records(params=[1.004e9, 3.99e9, 1e8]).drop(columns="run_id")
    assert [each.measured for each in laws.score(forecast(), unnamed).runs] == [2.04, 1.70]
    renamed = records(run_id=["x", "y", "z"], params=[1e9, 4.2e9, 1e8])
    found = laws.score(forecast(), renamed)
    assert [each.name for each in found.runs] == ["a"]
    assert found.not_scored == {"b": "no record of it"}


def test_a_name_is_enough_and_decides() -> None:
    named = records()[["run_id", "loss"]]
    assert [each.measured for each in laws.score(forecast(), named).runs] == [2.04, 1.70]
    # The run that is called b is b, although a has its size.
    twins = forecast(runs=(run("a", 2.0, 0.1, 1e9), run("b", 2.0, 0.1, 1e9)))
    found = laws.score(twins, records(params=1e9))
    assert {each.name: each.measured for each in found.runs} == {"a": 2.04, "b": 1.70}
    with pytest.raises(InputError, match="row 0 would measure both 'a' and 'b'"):
        laws.score(twins, records(params=[1e9, 4e9, 1e8]).drop(columns="run_id"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": ["diverged", "finished", "finished"]}, "diverged"),
        ({"loss": [math.inf, 1.7, 2.5]}, "diverged"),
        ({"loss": [math.nan, 1.7, 2.5]}, "no loss yet"),
        ({"status": ["running", "finished", "finished"]}, "running"),
        ({"status": ["crashed", "finished", "finished"]}, "failed"),
        ({"tokens": [1e10, 2e10, 2e10]}, "its records have other tokens"),
        ({"params": [2e9, 4e9, 1e8]}, "its records have other params"),
        ({"run_id": ["c", "b", "old"], "params": [3e9, 4e9, 1e8]}, "no record of it"),
    ],
    ids=["diverged", "infinite", "blank", "running", "failed", "tokens", "params", "absent"],
)
def test_runs_that_are_not_measured_are_reported(changes: dict, reason: str) -> None:
    found = laws.score(forecast(), records(**changes))
    assert found.not_scored == {"a": reason}
    assert [each.name for each in found.runs] == ["b"]
    assert f"Not scored: a: {reason}." in str(found)


def test_a_forecast_without_measurements_has_no_figures() -> None:
    found = laws.score(forecast(), records(run_id="x", params=1e6))
    assert found.runs == ()
    assert all(math.isnan(found.data()[name]) for name in ("coverage", "median_error_percent"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"optimizer": "muon", "seq_len": 1024},
            "'a' .*optimizer muon, fitted adamw, seq_len 1024",
        ),
        ({"loss": [2.04, "low", 2.5]}, "row 1, column 'loss': 'low' is not a positive finite"),
        ({"loss": [2.04, -1.0, 2.5]}, "row 1, column 'loss': -1.0 is not a positive finite"),
        ({"run_id": "a", "params": 1e9}, "3 rows measure the run 'a' .row 0, row 1, row 2."),
    ],
    ids=["recipe", "text", "negative", "several"],
)
def test_records_that_cannot_be_compared_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        laws.score(forecast(), records(**changes))


def test_among_several_recipes_the_fitted_one_is_scored() -> None:
    both = pd.concat([records(optimizer="muon", loss=9.0), records()], ignore_index=True)
    assert [each.measured for each in laws.score(forecast(), both).runs] == [2.04, 1.70]


def test_settings_compare_by_value() -> None:
    as_text = records(seq_len="512", optimizer=" adamw")
    assert len(laws.score(forecast(), as_text).runs) == 2


def test_another_unit_or_response_is_refused() -> None:
    with pytest.raises(InputError, match=r"in bits per byte, and the forecast in nats per token"):
        laws.score(forecast(), records(), unit="bits_per_byte")
    layout = records().rename(columns={"loss": "bits_per_byte"})
    with pytest.raises(InputError, match=r"in bits per byte, and the forecast in nats per token"):
        laws.score(forecast(), layout)
    with pytest.raises(InputError, match=r"no column 'loss'.*did you mean 'val_loss'"):
        laws.score(forecast(), records().rename(columns={"loss": "val_loss"}))
    assert laws.score(
        forecast(), records().rename(columns={"loss": "val_loss"}), columns={"loss": "val_loss"}
    ).runs
    with pytest.raises(InputError, match="no column 'tokens'"):
        laws.score(forecast(), records().drop(columns=["tokens", "run_id"]))
