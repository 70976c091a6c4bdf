"""The run that tests a ladder is trained after its forecast is stored, never before."""

from pathlib import Path

import numpy as np
import pytest

from scaling_jax.errors import InputError
from scaling_jax.study import Extrapolation, IsoFlop, Store, Study, run_study
from scaling_jax.study.execution import execute
from scaling_jax.study.execution.verification import freeze_forecast, verification_runs
from scaling_jax.study.store.forecasts import forecasts_of
from tests.study.small_studies import RECIPE, write_fake_result

SIZES = (4e3, 6e3, 9e3, 14e3)
LADDER = IsoFlop((1e9, 2e9, 4e9, 8e9), (SIZES,) * 4)
STUDY = Study("far", RECIPE, Extrapolation(LADDER, budget=8e10, params=3e4))


def finish(store: Store) -> None:
    """Give every run of the ladder a loss that a law of size and data has."""
    rng = np.random.default_rng(0)
    for run in store.runs():
        if run.planned.role == "grid":
            config = run.planned.config
            n, d = run.planned.flops / 6 / config.tokens, config.tokens
            loss = (1.2 + 20 / n**0.4 + 30 / d**0.35) * np.exp(0.002 * rng.standard_normal())
            write_fake_result(run, loss=float(loss))


def test_the_forecast_is_stored_once_and_only_after_the_ladder(tmp_path: Path) -> None:
    store = Store.create(tmp_path, STUDY)
    tests = verification_runs(STUDY, store)
    assert not freeze_forecast(STUDY, store, tests)
    assert forecasts_of(store) == {}
    finish(store)
    assert freeze_forecast(STUDY, store, tests)
    ((name, made),) = forecasts_of(store).items()
    assert name == "forecast.json"
    assert [run.name for run in made.runs] == [tests[0].run_id]
    written = (store.directory / name).read_text()
    assert freeze_forecast(STUDY, store, tests)
    assert (store.directory / name).read_text() == written


def test_a_run_trains_the_ladder_then_freezes_then_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = []

    def train(runs, job):
        store = Store.open(tmp_path / "far")
        planned.append(({run.planned.role for run in runs}, [*forecasts_of(store)]))
        finish(store)

    monkeypatch.setattr(execute, "train_runs", train)
    run_study(STUDY, tmp_path, progress=False)
    assert planned == [({"grid"}, []), ({"verification"}, ["forecast.json"])]


def test_the_forecast_knows_the_floor_that_the_design_states(tmp_path: Path) -> None:
    known = Extrapolation(LADDER, budget=8e10, params=3e4, floor=(0.3, 0.01))
    forecasts = {}
    for name, design in {"free": STUDY.design, "known": known}.items():
        study = Study(name, RECIPE, design)
        store = Store.create(tmp_path, study)
        finish(store)
        freeze_forecast(study, store, verification_runs(study, store))
        (forecasts[name],) = forecasts_of(store).values()
    # The losses have the floor 1.2, so one that is known to be lower predicts lower losses.
    assert forecasts["known"].runs[0].predicted < forecasts["free"].runs[0].predicted - 0.01


@pytest.mark.parametrize("floor", [(0.3,), (0.3, 0.0), (-1.0, 0.1), (0.3, float("nan"))])
def test_a_floor_that_is_no_centre_and_deviation_is_refused(floor: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="centre and the standard deviation of E"):
        Extrapolation(LADDER, budget=8e10, params=3e4, floor=floor)
