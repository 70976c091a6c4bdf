"""Curves of a study with the learning rate of every step, grouped by what a law can compare."""

from pathlib import Path

import pytest

from scaling_jax.study import FixedModels, Store, Study, Sweep
from scaling_jax.study.store.scheduled_curves import scheduled_curves
from tests.study.small_studies import RECIPE, write_curve, write_fake_result

SCHEDULES = tuple(
    {"optimizer_knobs": {"schedule": name}} for name in ("cosine", "constant", "linear")
)
STUDY = Study("schedules", RECIPE, Sweep(FixedModels((4e3, 10e3), (5.0, 10.0)), SCHEDULES))


def test_runs_of_one_model_are_together_whatever_their_schedule_and_length(tmp_path: Path) -> None:
    store = Store.create(tmp_path, STUDY)
    runs = store.runs()
    for run in runs[:-1]:
        write_fake_result(run, loss=1.9)
    last = runs[-1]
    write_curve(last, last.planned.config.steps // 3, 2.2)
    small, large = scheduled_curves(store)
    assert small.params < large.params
    assert (len(small.finished), len(small.under_way)) == (6, 0)
    assert (len(large.finished), len(large.under_way)) == (5, 1)
    assert {curve.end for curve in small.finished} == {1.9}
    (partial,) = large.under_way
    assert partial.name == last.run_id
    assert partial.progress == pytest.approx(1 / 3, abs=0.02)
    assert partial.steps == last.planned.config.steps


def test_rates_are_those_of_the_run_s_schedule(tmp_path: Path) -> None:
    store = Store.create(tmp_path, STUDY)
    for run in store.runs():
        write_fake_result(run)
    shares = {"cosine": 0.1, "constant": 1.0, "linear": 0.0}
    configs = {run.run_id: run.planned.config for run in store.runs()}
    for model in scheduled_curves(store):
        for curve in model.finished:
            optimizer = configs[curve.name].optimizer
            assert curve.lr_S.max() == pytest.approx(optimizer.peak_lr)
            end = shares[optimizer.schedule] * optimizer.peak_lr
            assert curve.lr_S[-1] == pytest.approx(end, abs=1e-8)
