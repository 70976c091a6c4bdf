"""A study is trained whole, whatever happens to its processes, and every run at most once."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
from etils import epath
from small_studies import SIZES, losses, small_study, write_fake_result

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import program_of
from scaling_jax.errors import InputError
from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.runs.result import read_result
from scaling_jax.study import Store, collect, run_study, train_runs
from scaling_jax.study.execution import attempt as attempts
from scaling_jax.study.execution import worker_pool
from scaling_jax.study.store import history, lifecycle
from scaling_jax.study.store.crash_log import note_crash
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.study.store.stored_run import read_run
from scaling_jax.system.cores import pinned, shares
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import UnusableCheckpointsError

HERE = Path(__file__).parents[1]


def start(script, *arguments):
    command = [sys.executable, HERE / script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def in_training(root):
    """Runs under `root` whose first step has been dispatched and that are not over."""
    begun = {path.parent.parent for path in root.glob("*/runs/*/tensorboard/events*")}
    return [path for path in begun if not (path / "result.json").exists()]


def wait_for_training(root, process=None):
    while not in_training(root):
        assert process is None or process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def children(pid):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return [int(word) for word in listed.stdout.split()]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def modification_times(directory):
    return {path: path.stat().st_mtime_ns for path in Path(directory).rglob("*")}


def curve(directory):
    rows = read_metrics(epath.Path(directory))
    return [(row["step"], row["loss"], row["grad_norm"]) for row in rows]


def test_two_workers_train_every_run_of_a_study(finished):
    table = collect(finished)
    assert list(table.status) == ["finished"] * 4
    assert table.loss.between(1.0, 2.0).all()
    assert table.loss.nunique() == 4


def test_a_study_that_is_over_trains_nothing(finished):
    before = modification_times(finished.directory / "runs")
    run_study(small_study(), finished.directory.parent, workers=2, progress=False)
    assert modification_times(finished.directory / "runs") == before


def test_a_run_does_not_depend_on_how_many_workers_there_were(finished, tmp_path):
    run = finished.runs()[0]
    with pinned(shares(2)[0]):
        process = start("train_pinned.py", run.directory, tmp_path / "alone")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert curve(tmp_path / "alone") == curve(run.directory)
    assert len(curve(run.directory)) == run.planned.config.steps
    alone = read_result(epath.Path(tmp_path / "alone"), run.planned.config)
    assert alone.loss == run.result.loss


def test_a_stopped_study_is_saved_and_ends_as_if_undisturbed(finished, tmp_path):
    process = start("run_once.py", tmp_path)
    wait_for_training(tmp_path, process)
    under_way = in_training(tmp_path)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 75, output
    assert "run the same command to continue" in output
    assert not children(process.pid)
    for directory in under_way:
        assert list(directory.glob("checkpoints/*")), output
    process = start("run_once.py", tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert losses(Store.open(tmp_path)) == losses(finished)


def test_workers_save_and_end_when_their_study_is_killed(tmp_path):
    process = start("run_once.py", tmp_path)
    wait_for_training(tmp_path, process)
    pids = children(process.pid)
    assert len(pids) == 2
    process.kill()
    process.communicate()
    while any(alive(pid) for pid in pids):
        time.sleep(0.05)
    for directory in in_training(tmp_path):
        assert list(directory.glob("checkpoints/*"))


@pytest.fixture
def spawned(monkeypatch):
    """Worker processes as they start."""
    processes, popen = [], subprocess.Popen

    def recorded(*args, **options):
        processes.append(popen(*args, **options))
        return processes[-1]

    monkeypatch.setattr(worker_pool.subprocess, "Popen", recorded)
    return processes


def test_a_killed_worker_is_replaced_and_its_run_tried_again(finished, tmp_path, spawned, capfd):
    def kill_one():
        wait_for_training(tmp_path)
        spawned[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    run_study(small_study(), tmp_path, workers=2, supervision=AT_ONCE)
    killer.join()
    assert len(spawned) == 3
    assert (
        "interrupted, again in 0 s: its worker process was ended by SIGKILL"
        in capfd.readouterr().err
    )
    assert losses(Store.open(tmp_path)) == losses(finished)


# Stands for runs of which one takes its process down with it.
DEADLY = """
import json, os, sys
for line in sys.stdin:
    for directory in json.loads(line)["directories"]:
        if os.path.exists(directory + "/deadly"):
            os.kill(os.getpid(), 11)
        print(json.dumps({"run": os.path.basename(directory), "outcome": ["survived"]}), flush=True)
"""


AT_ONCE = Supervision(attempts=2, retry_wait=0.0)


def test_a_run_whose_worker_dies_at_every_attempt_has_failed_and_the_rest_goes_on(
    tmp_path, monkeypatch, spawned, capfd
):
    monkeypatch.setattr(worker_pool, "worker_code", lambda: DEADLY)
    runs = Store.create(tmp_path, small_study()).runs()
    (runs[-1].directory / "deadly").touch()
    train_runs(runs, workers=2, supervision=AT_ONCE)
    assert [run.state for run in runs] == ["planned"] * 3 + ["failed"]
    assert "ended by SIGSEGV" in runs[-1].failure
    assert history.last_event(runs[-1].directory).attempts == 2
    messages = capfd.readouterr().err
    assert messages.count(": survived") == 3
    assert messages.count("attempt failed, again in 0 s: its worker process was ended by") == 1
    assert messages.count("failed: its worker process was ended by SIGSEGV") == 1
    assert len(spawned) <= 4


HANGING = DEADLY.replace("os.kill(os.getpid(), 11)", "__import__('signal').pause()")


def test_a_worker_that_hangs_is_killed_and_that_was_an_attempt(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(worker_pool, "worker_code", lambda: HANGING)
    runs = Store.create(tmp_path, small_study()).runs()
    (runs[0].directory / "deadly").touch()
    train_runs(runs, workers=2, supervision=replace(AT_ONCE, stall_seconds=0.3))
    assert [run.state for run in runs] == ["failed"] + ["planned"] * 3
    assert runs[0].failure == "no progress for 0 s"
    assert capfd.readouterr().err.count(": survived") == 3


# Stands for a worker that is asked to stop, not by its parent.
PREEMPTED = """
import json, os, sys
for line in sys.stdin:
    (directory,) = json.loads(line)["directories"]
    if os.path.exists(directory + "/once"):
        os.unlink(directory + "/once")
        print(json.dumps({"preempted": "stopped"}), flush=True)
        break
    print(json.dumps({"run": os.path.basename(directory), "outcome": ["survived"]}), flush=True)
"""


def test_a_worker_asked_to_stop_is_replaced_and_its_run_goes_on(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(worker_pool, "worker_code", lambda: PREEMPTED)
    runs = Store.create(tmp_path, small_study()).runs()
    (runs[0].directory / "once").touch()
    train_runs(runs, workers=2, supervision=replace(AT_ONCE, attempts=1))
    messages = capfd.readouterr().err
    assert messages.count(": survived") == 4
    assert "was asked to stop; retried" in messages


def test_ctrl_c_waits_for_the_workers_to_end(tmp_path, monkeypatch, spawned):
    # A worker that takes its time to save.
    slow = "import sys, time; print('{}', flush=True); sys.stdin.read(); time.sleep(0.3)"
    monkeypatch.setattr(worker_pool, "worker_code", lambda: slow)

    def interrupt():
        while len(spawned) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Preempted, match="signal 2"):
        run_study(small_study(), tmp_path, workers=2, progress=False)
    assert [process.poll() for process in spawned] == [0, 0]


def test_damaged_files_found_by_a_worker_stop_the_study_with_its_message(tmp_path, monkeypatch):
    refusing = DEADLY.replace('"outcome": ["survived"]', '"refused": "no such thing"')
    monkeypatch.setattr(worker_pool, "worker_code", lambda: refusing)
    with pytest.raises(InputError, match="no such thing"):
        run_study(small_study(), tmp_path, workers=2, progress=False)


@dataclass(frozen=True)
class TooHighForLarge:
    """A learning rate that ruins the larger size."""

    def __call__(self, shape, tokens):
        return 1e-2 if count_params(shape).total < sum(SIZES) / 2 else 1e30


def test_a_run_that_diverges_is_recorded_and_the_rest_goes_on(tmp_path):
    study = small_study(2e9, peak_lr=TooHighForLarge())
    table = collect(run_study(study, tmp_path, workers=2, progress=False))
    assert sorted(table.status) == ["diverged", "finished"]
    diverged = table[table.status == "diverged"].iloc[0]
    assert diverged.peak_lr == 1e30
    assert pd.isna(diverged.loss)
    assert diverged.tokens < 2e9 / 6 / diverged.params
    assert table[table.status == "finished"].loss.between(1.0, 5.0).all()


def test_a_pack_whose_worker_dies_is_tried_run_by_run(tmp_path, monkeypatch, spawned, capfd):
    monkeypatch.setattr(worker_pool, "worker_code", lambda: DEADLY)
    runs = Store.create(tmp_path, small_study(2e9, 4e9, 8e9)).runs()
    deadly = next(run for run in runs[::-1] if len(same_program(runs, run)) == 3)
    (deadly.directory / "deadly").touch()
    train_runs(runs, workers=2, pack=3, supervision=AT_ONCE)
    assert [run for run in runs if run.state == "failed"] == [deadly]
    messages = capfd.readouterr().err
    assert messages.count(": survived") == len(runs) - 1


def same_program(runs, run):
    wanted = program_of(run.planned.config)
    return [other for other in runs if program_of(other.planned.config) == wanted]


def test_a_pack_that_cannot_train_together_trains_run_by_run(tmp_path, monkeypatch, capfd):
    def no_memory(*args, **options):
        raise MemoryError("none left for two")

    monkeypatch.setattr("scaling_jax.study.execution.attempt.train_replicas", no_memory)
    trained = fake_training(monkeypatch, lambda directory: None)
    store = run_study(small_study(), tmp_path, workers=1, pack=2)
    assert {run.state for run in store.runs()} == {"finished"}
    assert sorted(trained) == sorted(run.run_id for run in store.runs())
    assert "side by side: MemoryError: none left for two" in capfd.readouterr().err


def test_a_study_trained_in_packs_has_the_losses_of_one_that_was_not(finished, tmp_path):
    packed = run_study(small_study(), tmp_path, workers=1, pack=2, progress=False)
    expected = losses(finished)
    # Sums are taken in another order; hundreds of updates amplify float32 rounding.
    assert losses(packed) == pytest.approx(expected, rel=1e-4)


def fake_training(monkeypatch, act):
    """Let `act(run directory)` stand for training, which then succeeds."""
    trained = []

    def train(config, directory, **options):
        trained.append(config.run_id)
        act(directory)
        write_fake_result(read_run(directory))

    monkeypatch.setattr(attempts, "train_run", train)
    return trained


def broken_run(exception, directory):
    """Let training fail with `exception` in the run `directory` alone."""

    def act(path):
        if path == directory:
            raise exception

    return act


def in_history(run):
    return [event.state for event in history.events(run.directory)]


def test_a_run_that_raises_is_tried_again_then_has_failed_until_asked_for(
    tmp_path, monkeypatch, capfd
):
    broken = Store.create(tmp_path, small_study()).runs()[1]
    trained = fake_training(monkeypatch, broken_run(MemoryError("none left"), broken.directory))
    store = run_study(small_study(), tmp_path, workers=1, supervision=AT_ONCE)
    assert [run.state for run in store.runs()].count("finished") == 3
    assert trained.count(broken.run_id) == 2
    assert (broken.state, broken.failure) == ("failed", "MemoryError: none left")
    assert in_history(broken) == ["leased", "planned", "leased", "failed"]
    assert "failed: MemoryError: none left" in capfd.readouterr().err

    trained = fake_training(monkeypatch, lambda directory: None)
    run_study(small_study(), tmp_path, workers=1, progress=False)
    assert (trained, broken.state) == ([], "failed")
    run_study(small_study(), tmp_path, workers=1, progress=False, retry_failed=True)
    assert trained == [broken.run_id]
    assert (broken.state, broken.failure) == ("finished", None)
    assert in_history(broken)[-3:] == ["planned", "leased", "finished"]


def test_what_a_run_refuses_is_not_tried_again(tmp_path, monkeypatch):
    runs = Store.create(tmp_path, small_study()).runs()
    trained = fake_training(monkeypatch, broken_run(InputError("not so"), runs[0].directory))
    train_runs(runs, workers=1, progress=False)
    assert [run.state for run in runs] == ["failed"] + ["finished"] * 3
    assert (len(trained), runs[0].failure) == (4, "not so")


def test_a_run_without_enough_device_memory_trains_with_less_or_has_failed(tmp_path, monkeypatch):
    """The study continues where no choice is enough."""
    runs = Store.create(tmp_path, small_study()).runs()
    policies = {1.0: "none", 0.75: "full", 0.5: "full"}
    monkeypatch.setattr(
        "scaling_jax.study.execution.out_of_memory.chosen_here",
        lambda config, execution, share: replace(execution, remat=policies[share]),
    )
    hungry, starved = runs[:2]
    tried = []

    def train(config, directory, execution, **options):
        tried.append((config.run_id, execution.remat))
        if config.run_id == starved.run_id or tried[-1] == (hungry.run_id, "none"):
            raise RuntimeError("RESOURCE_EXHAUSTED: out of HBM\nand a long table")
        write_fake_result(read_run(directory))

    monkeypatch.setattr(attempts, "train_run", train)
    train_runs(runs, workers=1, progress=False, supervision=Supervision(attempts=1))
    assert [run.state for run in runs] == ["finished", "failed", "finished", "finished"]
    assert [policy for run_id, policy in tried if run_id == hungry.run_id] == ["none", "full"]
    assert len(tried) == 2 + 2 + 2
    assert starved.failure.endswith(
        "remat full, accumulate 1: RuntimeError: RESOURCE_EXHAUSTED: out of HBM"
    )
    reasons = [event.reason for event in history.events(hungry.directory) if event.reason]
    assert reasons[0].startswith("out of device memory with remat none")


def test_the_wait_before_another_attempt_grows(tmp_path, monkeypatch):
    run = Store.create(tmp_path, small_study()).runs()[0]
    supervision = Supervision(attempts=5, retry_wait=5.0)
    waits = [lifecycle.fail(run, "no", supervision) for _ in range(5)]
    assert waits == [5, 20, 80, 300, None]
    assert run.state == "failed"


def test_a_run_that_waits_for_its_next_attempt_is_not_begun(tmp_path, monkeypatch):
    run = Store.create(tmp_path, small_study()).runs()[0]
    trained = fake_training(monkeypatch, lambda directory: None)
    lifecycle.fail(run, "no", Supervision(retry_wait=100.0))
    outcome = attempts.attempt_run(run)
    assert 99 < outcome.wait <= 100
    assert trained == []
    assert run.state == "planned"


KILLED = DEADLY.replace("os.kill(os.getpid(), 11)", "os.kill(os.getpid(), 9)")


def test_kills_from_outside_count_apart_and_the_run_is_tried_again(tmp_path, monkeypatch, capfd):
    # Four kills, one more than the attempts, before the run gets through.
    thrice = KILLED.replace(
        'if os.path.exists(directory + "/deadly"):',
        """deadly = directory + "/deadly"
        if os.path.exists(deadly) and (left := int(open(deadly).read())):
            open(deadly, "w").write(str(left - 1))""",
    )
    monkeypatch.setattr(worker_pool, "worker_code", lambda: thrice)
    runs = Store.create(tmp_path, small_study()).runs()
    (runs[0].directory / "deadly").write_text("4")
    train_runs(runs, workers=2, supervision=Supervision(attempts=1, retry_wait=0.0))
    messages = capfd.readouterr().err
    assert messages.count("interrupted, again in 0 s: its worker process was ended by SIGKILL") == 4
    assert messages.count(": survived") == 4
    last = history.last_event(runs[0].directory)
    assert (last.attempts, last.interruptions) == (0, 4)


def test_kills_from_outside_are_tried_again_for_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "worker_code", lambda: KILLED)
    runs = Store.create(tmp_path, small_study()).runs()
    (runs[0].directory / "deadly").touch()
    train_runs(runs, workers=2, supervision=replace(AT_ONCE, interruptions=3))
    assert [run.state for run in runs] == ["failed"] + ["planned"] * 3
    assert history.last_event(runs[0].directory).interruptions == 3


def test_a_kill_for_lack_of_memory_is_an_attempt(tmp_path, monkeypatch):
    kills = iter(range(1000))
    monkeypatch.setattr(worker_pool, "out_of_memory_kills", lambda: next(kills))
    monkeypatch.setattr(worker_pool, "worker_code", lambda: KILLED)
    runs = Store.create(tmp_path, small_study()).runs()
    (runs[0].directory / "deadly").touch()
    train_runs(runs, workers=2, supervision=AT_ONCE)
    assert "ended by SIGKILL, as memory ran out" in runs[0].failure
    assert history.last_event(runs[0].directory).attempts == 2


def test_deaths_without_a_trace_are_interruptions_while_the_run_gets_no_further(tmp_path):
    run = Store.create(tmp_path, small_study()).runs()[0]
    supervision = Supervision(attempts=1, interruptions=4, retry_wait=0.0)
    for _ in range(4):
        assert lifecycle.take(run, supervision) is None
    last = history.last_event(run.directory)
    assert (last.attempts, last.interruptions) == (0, 3)
    # It came further than before: what ended it before counts no more.
    (run.directory / "checkpoints" / "7").mkdir(parents=True)
    assert lifecycle.take(run, supervision) is None
    assert history.last_event(run.directory).interruptions == 1
    assert lifecycle.take(run, supervision) is None
    assert lifecycle.take(run, supervision) is None
    assert lifecycle.take(run, supervision) == (f"failed: {lifecycle.DIED}", None)
    assert run.state == "failed"


def test_deaths_by_a_crash_are_attempts_while_the_run_gets_no_further(tmp_path):
    run = Store.create(tmp_path, small_study()).runs()[0]
    note_crash(run.directory, "Fatal Python error: Segmentation fault")
    supervision = Supervision(attempts=2, retry_wait=0.0)
    assert lifecycle.take(run, supervision) is None
    assert lifecycle.take(run, supervision) is None
    assert history.last_event(run.directory).attempts == 1
    # It came further than before: what failed before counts no more.
    (run.directory / "checkpoints" / "7").mkdir(parents=True)
    assert lifecycle.take(run, supervision) is None
    assert history.last_event(run.directory).attempts == 1
    text = f"failed: {lifecycle.CRASHED}: Fatal Python error: Segmentation fault"
    assert lifecycle.take(run, supervision) == (text, None)
    assert run.state == "failed"


def test_a_cancelled_run_is_not_trained_and_one_under_way_stops(tmp_path, monkeypatch):
    runs = Store.create(tmp_path, small_study()).runs()
    runs[0].cancel()
    monkeypatch.setattr(attempts, "_CANCEL_CHECK_SECONDS", 0.0)
    trained = []

    def train(config, directory, *, report, **options):
        trained.append(config.run_id)
        if config.run_id == runs[1].run_id:
            runs[1].cancel()
        report(1, 2.0, 1e5)
        write_fake_result(read_run(directory))

    monkeypatch.setattr(attempts, "train_run", train)
    train_runs(runs, workers=1, progress=False)
    assert [run.state for run in runs] == ["cancelled", "cancelled", "finished", "finished"]
    assert in_history(runs[2]) == ["leased", "running", "finished"]
    runs[1].restore()
    monkeypatch.setattr(attempts, "_CANCEL_CHECK_SECONDS", 60.0)
    fake_training(monkeypatch, lambda directory: None)
    train_runs(runs, workers=1, progress=False)
    assert [run.state for run in runs] == ["cancelled", "finished", "finished", "finished"]


def test_checkpoints_of_no_use_are_set_aside_and_the_run_begins_anew(tmp_path, monkeypatch, capfd):
    run = Store.create(tmp_path, small_study()).runs()[0]
    (run.directory / "checkpoints" / "7").mkdir(parents=True)

    def refuse(directory):
        if (directory / "checkpoints").exists():
            raise UnusableCheckpointsError("none can be read")

    trained = fake_training(monkeypatch, refuse)
    assert attempts.attempt_run(run).text.startswith("loss")
    assert (run.state, len(trained)) == ("finished", 2)
    (aside,) = run.directory.glob("checkpoints.unusable-*")
    assert (aside / "7").is_dir()
    reasons = [event.reason for event in history.events(run.directory) if event.reason]
    assert reasons == [f"begins from its first step: none can be read; set aside as {aside.name}"]
    assert "set aside" in capfd.readouterr().err


def test_a_full_disk_fails_the_run_and_not_the_study(tmp_path, monkeypatch, capfd):
    runs = Store.create(tmp_path, small_study()).runs()
    full = OSError(errno.ENOSPC, "No space left on device")
    fake_training(monkeypatch, broken_run(full, runs[0].directory))
    train_runs(runs, workers=1, supervision=AT_ONCE, progress=False)
    assert [run.state for run in runs] == ["failed"] + ["finished"] * 3
    assert "No space left on device" in runs[0].failure

    def no_room(*args, **options):
        raise full

    monkeypatch.setattr(history, "record", no_room)
    runs[1].directory.joinpath("result.json").unlink()
    trained = fake_training(monkeypatch, broken_run(full, runs[1].directory))
    train_runs(runs[1:], workers=1, supervision=AT_ONCE, progress=False)
    # A failure to record is printed, and the run is there to be tried by the next start.
    assert "cannot record that it is planned" in capfd.readouterr().err
    assert (runs[1].state, len(trained)) == ("planned", 1)


def test_what_another_process_trains_or_has_trained_is_left_alone(tmp_path, monkeypatch, capfd):
    runs = Store.create(tmp_path, small_study()).runs()
    first, locked, other = runs[0], runs[1], runs[2]
    # While the first run trains, the third is finished by somebody else.
    trained = fake_training(monkeypatch, lambda directory: write_fake_result(other))
    with locked.lock():
        train_runs(runs, workers=1)
    assert trained == [first.run_id, runs[3].run_id]
    assert "another process is training it" in capfd.readouterr().err


def test_a_line_for_each_run_is_never_folded_when_nobody_watches(tmp_path, monkeypatch, capfd):
    fake_training(monkeypatch, lambda directory: None)
    run_study(small_study(), tmp_path, workers=1)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
    assert all("loss 2.0000" in line for line in lines)
