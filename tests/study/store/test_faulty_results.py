"""A result that cannot be that of its run is named, left out, and trained again on request."""

import json
import math
import shutil
import warnings
from pathlib import Path

import pytest
from small_studies import losses, small_study, write_fake_result

from scaling_jax.errors import LeftOutWarning
from scaling_jax.study import Store, collect, curves, run_study
from scaling_jax.study.status import StudyMonitor, status_data, status_text
from scaling_jax.study.store import lifecycle
from scaling_jax.study.store.retry_policy import USUAL


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path, small_study())
    for number, run in enumerate(store.runs()):
        write_fake_result(run, loss=2.0 + number / 8)
    return store


def edit(run, **changes):
    """Change fields of a stored result; None deletes one."""
    path = run.directory / "result.json"
    written = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in written.items() if v is not None}))


def as_earlier(run, **changes):
    """Change fields of a result as an earlier version wrote it, without an id and a checksum."""
    edit(run, run_id=None, checksum=None, curve=None, **changes)


def swap(one, other):
    paths = [run.directory / "result.json" for run in (one, other)]
    texts = [path.read_text() for path in paths]
    for path, text in zip(paths, reversed(texts), strict=True):
        path.write_text(text)


TAMPERED = {
    "the results of two runs are swapped": (swap, "is the result of another run"),
    "the loss is edited": (lambda run, _: edit(run, loss=1.9), "checksum differs"),
    "the tokens are edited": (
        lambda run, _: edit(run, tokens=10 * run.result.tokens),
        "checksum differs",
    ),
    "a part of the run counts as finished": (
        lambda run, _: edit(run, steps=10, tokens=2560),
        "checksum differs",
    ),
    "an earlier version's tokens": (
        lambda run, _: as_earlier(run, tokens=10 * run.result.tokens),
        "tokens, but",
    ),
    "an earlier version's part of a run": (
        lambda run, _: as_earlier(run, steps=10, tokens=2560),
        "has 10 steps, but the run's configuration",
    ),
    "an earlier version's NaN": (lambda run, _: as_earlier(run, loss=math.nan), "loss nan"),
    "an earlier version's infinity": (lambda run, _: as_earlier(run, loss=math.inf), "loss inf"),
    "an earlier version's negative loss": (lambda run, _: as_earlier(run, loss=-2.0), "loss -2.0"),
    "an earlier version without a loss": (lambda run, _: write_fake_result(run, loss=None), "None"),
    "a loss of text": (lambda run, _: as_earlier(run, loss="low"), "loss must be float"),
    "a huge loss": (lambda run, _: as_earlier(run, loss=10**400), "must lie below"),
    "an unknown field": (lambda run, _: as_earlier(run, colour="red"), "no field 'colour'"),
    "a negative error": (lambda run, _: as_earlier(run, loss_stderr=-1.0), "loss_stderr -1.0"),
    "a list": (lambda run, _: (run.directory / "result.json").write_text("[1]"), "must be an obj"),
    "diverged with a loss": (lambda run, _: as_earlier(run, status="diverged"), "diverged with"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_faulty_result_is_named_and_left_out_everywhere(store, name):
    tamper, reason = TAMPERED[name]
    run, other, *_ = store.runs()
    tamper(run, other)
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        table = collect(store).set_index("run_id")
    texts = [str(each.message) for each in messages if each.category is LeftOutWarning]
    assert any(
        text.startswith(f"run {run.run_id} is left out:") and reason in text for text in texts
    )
    assert table.status[run.run_id] == "failed"
    assert reason in table.failure[run.run_id]
    assert table.loss.isna()[run.run_id]
    assert (run.state, run.result) == ("failed", None)
    standing = StudyMonitor(store).look()
    assert run.run_id not in standing.finished_ids
    assert any(run.run_id in str(block) and reason in str(block) for block in status_text(standing))
    failures = status_data(standing)["failures"]
    assert any(f["run_id"] == run.run_id and reason in f["reason"] for f in failures)
    assert run.run_id not in set(curves(store).run_id)


def test_results_of_earlier_versions_are_read(store):
    before = losses(store)
    for run in store.runs():
        as_earlier(run)
    assert losses(store) == before
    assert set(collect(store).status) == {"finished"}


def test_a_reformatted_result_is_read(store):
    run = store.runs()[0]
    path = run.directory / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert run.state == "finished"


def test_a_damaged_result_is_named_and_the_run_unfinished(store):
    run = store.runs()[0]
    path = run.directory / "result.json"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.warns(LeftOutWarning, match=rf"run {run.run_id} counts as unfinished: result.json"):
        table = collect(store).set_index("run_id")
    assert table.status[run.run_id] == "planned"
    standing = StudyMonitor(store).look()
    assert [run.run_id in problem for problem in standing.problems] == [True]


@pytest.mark.parametrize("kept", ["config.json", "result.json", "metrics.jsonl"])
def test_a_directory_without_its_plan_is_named(store, kept):
    run = store.runs()[0]
    for path in run.directory.iterdir():
        if path.name != kept:
            path.unlink()
    message = rf"run {run.run_id} is left out, since .* has no plan.json"
    with pytest.warns(LeftOutWarning, match=message):
        assert len(collect(store)) == 3
    standing = StudyMonitor(store).look()
    assert len(standing.runs) == 3
    assert run.run_id in standing.problems[0]
    assert status_data(standing)["problems"] == list(standing.problems)
    assert any(run.run_id in str(block) for block in status_text(standing))


def test_a_directory_that_is_a_loop_of_links_is_named(store):
    run = store.runs()[0]
    shutil.rmtree(run.directory)
    Path(run.directory).symlink_to(run.directory)
    with pytest.warns(LeftOutWarning, match=run.run_id):
        assert len(collect(store)) == 3


def test_a_directory_that_holds_no_run_is_no_problem(store):
    (store.directory / "runs" / "notes").mkdir()
    (store.directory / "runs" / "notes.txt").write_text("mine")
    assert len(collect(store)) == 4
    assert StudyMonitor(store).look().problems == ()


@pytest.mark.parametrize("damage", ["delete", "shorten", "garble", "of another", "halve", "edit"])
def test_a_damaged_curve_is_named_and_left_out(store, damage):
    run, other, *_ = store.runs()
    write_fake_result(other, train_loss=3.0)
    path = run.directory / "metrics.jsonl"
    lines = path.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    if damage == "delete":
        path.unlink()
    elif damage == "of another":
        shutil.copy(other.directory / "metrics.jsonl", path)
    else:
        changed = {
            "shorten": lines[:-3],
            "garble": [*lines[:9], lines[9][:12], *lines[10:]],
            "halve": [json.dumps(row | {"loss": row["loss"] / 2}) for row in rows],
            "edit": [*lines[:-1], json.dumps(rows[-1] | {"loss": 1.0})],
        }[damage]
        path.write_text("".join(line + "\n" for line in changed))
    with pytest.warns(LeftOutWarning, match=f"the curve of run {run.run_id} is left out"):
        found = set(curves(store).run_id)
    assert found == {each.run_id for each in store.runs()} - {run.run_id}
    # The loss after the last step is known all the same.
    assert set(collect(store).status) == {"finished"}


def test_a_finished_run_with_a_damaged_curve_is_trained_again_on_request(finished, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(finished.directory.parent, root)
    store, options = Store.open(root), dict(workers=1, progress=False)
    damaged = store.runs()[0]
    path = damaged.directory / "metrics.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:-3]))
    run_study(small_study(), root, **options)
    with pytest.warns(LeftOutWarning, match=r"is left out: .* again with run --retry-failed"):
        assert len(set(curves(store).run_id)) == 3
    whole = {run.run_id: run.result for run in store.runs() if run.run_id != damaged.run_id}
    run_study(small_study(), root, retry_failed=True, **options)
    assert len(set(curves(store).run_id)) == 4
    assert damaged.result.loss == pytest.approx(losses(finished)[damaged.run_id], rel=1e-5)
    # The others were left alone.
    assert {run.run_id: run.result for run in store.runs() if run.run_id in whole} == whole


def test_no_process_trains_a_run_with_a_faulty_result_that_nobody_requested(store):
    run = store.runs()[0]
    edit(run, loss=1.0)
    outcome = lifecycle.take(run, USUAL)
    assert outcome is not None
    assert outcome.text.startswith("failed: result.json was changed")
    assert run.directory.joinpath("result.json").exists()


def test_a_run_with_a_faulty_result_is_trained_again_on_request(finished, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(finished.directory.parent, root)
    store = Store.open(root)
    run, other, *_ = store.runs()
    swap(run, other)
    options = dict(workers=1, progress=False)
    run_study(small_study(), root, **options)
    assert [each.state for each in (run, other)] == ["failed", "failed"]
    run_study(small_study(), root, retry_failed=True, **options)
    assert set(losses(store)) == set(losses(finished))
    for run_id, loss in losses(finished).items():
        assert losses(store)[run_id] == pytest.approx(loss, rel=1e-5)
    kept = [path for path in run.directory.iterdir() if path.name.startswith("set-aside-")]
    assert [sorted(path.name for path in each.iterdir()) for each in kept] == [
        ["checkpoints", "metrics.jsonl", "result.json"]
    ]
    assert len(curves(store)) == len(curves(finished))
