"""All numbers of a status are from one moment, and laws come from finished runs alone."""

import json

import pytest
from small_studies import small_study, write_fake_result

from scaling_jax.runs.curve_files import METRICS_FILE
from scaling_jax.study import Store
from scaling_jax.study.status.interim_law import INTERIM_FILE, InterimLaw
from scaling_jax.study.status.standing import StudyMonitor
from scaling_jax.study.store import history


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path, small_study())


def finish(run, **changes):
    tokens = run.planned.config.tokens
    made = dict(tokens_per_second=1e4, seconds={"train": tokens / 1e4, "compile": 3.0})
    write_fake_result(run, **(made | changes))


def write_curve(run, step, loss=3.5):
    row = json.dumps({"step": step, "tokens": 256 * step, "loss": loss})
    (run.directory / METRICS_FILE).write_text(row + "\n" + '{"step": 9')


def test_runs_that_train_count_as_far_as_their_curves_are(store):
    run = store.runs()[-1]
    half = run.planned.config.steps // 2
    write_curve(run, half)
    with run.lock():
        history.record(run.directory, "running")
        standing = StudyMonitor(store).look()
    (one,) = standing.at_work
    assert (one.run.run_id, one.step, one.loss) == (run.run_id, half, 3.5)
    assert standing.flops_done == pytest.approx(run.planned.flops * half / run.planned.config.steps)
    assert standing.flops_total == sum(run.planned.flops for run in store.runs())
    assert standing.seconds_left is None
    # It prints as the command shows it.
    assert f"{run.run_id}" in repr(standing)
    assert "RunStatus" not in repr(standing)


def test_time_left_is_that_of_the_measured_rate(store):
    first, second, third, fourth = store.runs()
    finish(first)
    finish(second)
    write_curve(third, third.planned.config.steps // 2)
    left = third.planned.config.tokens / 2 + fourth.planned.config.tokens
    standing = StudyMonitor(store).look()
    assert standing.seconds_left == pytest.approx(left / 1e4 + 2 * 3.0, rel=1e-2)
    with third.lock(), fourth.lock():
        assert StudyMonitor(store).look().seconds_left == pytest.approx(standing.seconds_left / 2)
    finish(third)
    finish(fourth, status="diverged", loss=None)
    assert StudyMonitor(store).look().seconds_left == 0


def test_devices_and_runs_side_by_side_count_once(store):
    runs = store.runs()
    for run in runs[:2]:
        finish(run, devices=8, side_by_side=4)
    standing = StudyMonitor(store).look()
    spent = sum(run.planned.config.tokens / 1e4 + 3.0 for run in runs[:2])
    assert standing.device_seconds_spent == pytest.approx(8 * spent)
    assert standing.in_parallel == 2.0


def test_budgets_lack_every_run_without_a_loss(store):
    first, second, third, _ = store.runs()
    finish(first, loss=2.5)
    finish(second, loss=2.25)
    finish(third, status="diverged", loss=None)
    small, large = StudyMonitor(store).look().budgets
    assert (small.finished, small.total, small.missing, small.best_loss) == (2, 2, 0, 2.25)
    assert (large.finished, large.total, large.missing, large.best_loss) == (0, 2, 2, None)


def test_a_monitor_finds_runs_and_results_that_come_later(store):
    monitor = StudyMonitor(store)
    assert monitor.look().states == {"planned": 4}
    finish(store.runs()[0])
    assert monitor.look().states == {"finished": 1, "planned": 3}
    Store.create(store.directory.parent, small_study(2e9, 4e9, 8e9))
    assert monitor.look().states == {"finished": 1, "planned": 5}


def test_a_law_is_fitted_again_only_when_a_run_has_finished(store):
    monitor, path = StudyMonitor(store), store.directory / INTERIM_FILE
    refused = InterimLaw(store, "chinchilla").law(monitor.look())
    assert "none of the table's 4 rows can be fitted" in refused["refused"]
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "fit": {"refused": "as it was stored"}}))
    write_curve(store.runs()[1], 5)
    law = InterimLaw(store, "chinchilla")
    assert law.law(monitor.look()) == {"n_finished": 0, "refused": "as it was stored"}
    finish(store.runs()[0])
    assert "cannot determine the 5 constants" in law.law(monitor.look())["refused"]
    path.write_text("{")
    assert (
        "rows of params, tokens cannot"
        in InterimLaw(store, "chinchilla").law(monitor.look())["refused"]
    )
