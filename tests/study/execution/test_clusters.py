"""Runs as tasks of a cluster: the same store, attempts and order as on one machine."""

import contextlib
import importlib.util
import os
import signal
import stat
import sys
import tempfile
import time
import types
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import pytest
from small_studies import losses, small_study, write_fake_result

from scaling_jax.accounting.hardware import CHIPS
from scaling_jax.errors import InputError
from scaling_jax.execution_choice import Chips, estimated_memory
from scaling_jax.study import Store, run_study
from scaling_jax.study.execution import execute, job, ray_executor, slurm_executor
from scaling_jax.study.execution.check import check_runs
from scaling_jax.study.execution.clusters import STOPPED, ClusterBackend, train_task
from scaling_jax.study.execution.job import Job
from scaling_jax.study.execution.order import ordered
from scaling_jax.study.execution.resources import resources
from scaling_jax.study.store import history
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import Execution, MeshSpec


def needs(package):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


FIXED = Execution(remat="none", accumulate=1)
AT_ONCE = Supervision(attempts=2, retry_wait=0.0)


class Fake(ClusterBackend):
    """A cluster in which `act(run)` stands for a task."""

    def __init__(self, job, act, takes_away=()):
        super().__init__(job)
        self.act, self.takes_away = act, takes_away
        self.submitted, self.closed_with = [], None

    def submit(self, runs):
        self.submitted.append([run.run_id for run in runs])
        return [(run, len(self.submitted)) for run in runs]

    def finished(self, handles):
        return list(handles[:1])

    def outcome(self, handle):
        return self.act(handle[0])

    def is_lost_machine(self, handle, error):
        return isinstance(error, self.takes_away)

    def cancel(self, handles):
        self.closed_with = [run.run_id for run, _ in handles]


def succeed(run):
    write_fake_result(run)
    return Outcome("loss 2.0")


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train the small study by tasks of a fake cluster."""

    def trained(act, takes_away=()):
        cluster = Fake(Job(supervision=AT_ONCE), act, takes_away)
        monkeypatch.setattr(job.importlib.util, "find_spec", lambda name: True)
        monkeypatch.setattr(execute, "open_backend", lambda *args: cluster)
        with contextlib.suppress(Preempted):
            run_study(small_study(), tmp_path, executor="ray", supervision=AT_ONCE)
        return cluster, Store.open(tmp_path).runs()

    return trained


def test_tasks_go_out_in_the_order_of_training(train):
    cluster, runs = train(succeed)
    assert cluster.submitted == [[run.run_id for run in ordered(runs)]]
    assert {run.state for run in runs} == {"finished"}
    assert cluster.closed_with == []


def test_a_task_that_is_lost_is_an_attempt_of_its_run(train, capfd):
    first = []

    def act(run):
        first.append(run) if not first else None
        if run.run_id == first[0].run_id:
            raise RuntimeError("its machine is gone")
        return succeed(run)

    cluster, runs = train(act)
    assert [len(each) for each in cluster.submitted] == [4, 1]
    assert sorted(run.state for run in runs) == ["failed", *["finished"] * 3]
    assert "failed: its task was lost: RuntimeError: its machine is gone" in capfd.readouterr().err


def test_a_task_that_is_asked_to_stop_is_submitted_again_and_is_no_attempt(train):
    stopped = []

    def act(run):
        if run.run_id not in stopped and len(stopped) < 3:
            stopped.append(run.run_id)
            return Outcome(STOPPED, wait=0.0)
        return succeed(run)

    cluster, runs = train(act)
    assert sum(map(len, cluster.submitted)) == 7
    assert {run.state for run in runs} == {"finished"}


def test_stopping_the_command_stops_the_tasks(train):
    def interrupted(run):
        os.kill(os.getpid(), signal.SIGTERM)
        return succeed(run)

    cluster, runs = train(interrupted)
    assert len(cluster.closed_with) == 3
    assert [run.state for run in runs].count("finished") == 1


def test_a_task_that_is_lost_with_its_machine_is_an_interruption(train, capfd):
    lost = []

    def act(run):
        if run.run_id not in lost:
            lost.append(run.run_id)
            raise ConnectionError("its machine is gone")
        return succeed(run)

    _, runs = train(act, takes_away=ConnectionError)
    # Two attempts are allowed, and more interruptions.
    assert {run.state for run in runs} == {"finished"}
    events = [event for run in runs for event in history.events(run.directory)]
    assert [e.attempts for e in events] == [0] * len(events)
    assert sum(e.interruptions == 1 and "its machine is gone" in str(e.reason) for e in events) == 4
    assert "interrupted, again in 0 s: its task was lost" in capfd.readouterr().err


RAY_ERRORS = ("WorkerCrashedError", "NodeDiedError", "LocalRayletDiedError", "OutOfMemoryError")


@pytest.mark.parametrize(
    ("error", "is_lost"), [*((name, True) for name in RAY_ERRORS[:3]), (RAY_ERRORS[3], False)]
)
def test_ray_says_which_tasks_it_lost_with_their_machine(monkeypatch, error, is_lost):
    ray = types.ModuleType("ray")
    ray.exceptions = types.SimpleNamespace(
        **{name: type(name, (Exception,), {}) for name in RAY_ERRORS}
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    cluster = ray_executor.RayBackend(Job(), {}, owned=False)
    assert cluster.is_lost_machine(None, getattr(ray.exceptions, error)()) is is_lost
    assert not cluster.is_lost_machine(None, RuntimeError("the run itself"))


@needs("ray")
def test_ray_has_the_errors_of_lost_machines():
    from ray import exceptions

    assert all(issubclass(getattr(exceptions, name), Exception) for name in RAY_ERRORS)


@pytest.fixture
def lock_folder(tmp_path, monkeypatch):
    """Where the locks of Ray's tasks belong, in a temporary directory of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"scaling_jax-cores-{os.getuid()}"


@pytest.mark.parametrize("mode", [None, 0o777, 0o000])
def test_the_locks_of_ray_tasks_belong_to_this_user_alone(lock_folder, mode):
    if mode is not None:
        lock_folder.mkdir()
        lock_folder.chmod(mode)
    assert ray_executor._lock_folder() == lock_folder
    assert stat.S_IMODE(lock_folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "of another user"])
def test_a_lock_folder_of_somebody_else_is_refused(lock_folder, tmp_path, monkeypatch, kind):
    if kind == "link":
        (tmp_path / "theirs").mkdir()
        lock_folder.symlink_to(tmp_path / "theirs")
    elif kind == "file":
        lock_folder.write_text("")
    else:
        lock_folder.mkdir()
        other = os.getuid() + 1
        lock_folder.rename(tmp_path / f"scaling_jax-cores-{other}")
        monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(InputError, match="is not a directory of this user: remove it"):
        ray_executor._lock_folder()
    if kind == "link":
        assert list((tmp_path / "theirs").iterdir()) == []


def test_tasks_of_one_machine_claim_different_cores(lock_folder, monkeypatch):
    monkeypatch.setattr(ray_executor, "affinity", lambda: [3, 5, 7])
    with ray_executor._claimed(2) as first, ray_executor._claimed(1) as second:
        assert (first, second) == ({3, 5}, {7})
        with ray_executor._claimed(1) as third:
            # None is left, so the task is pinned to none.
            assert third == set()
    with ray_executor._claimed(3) as every:
        assert every == {3, 5, 7}


@pytest.mark.parametrize(
    ("state", "is_lost"),
    [
        *((state, True) for state in ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED by 0")),
        *((state, False) for state in ("FAILED", "OUT_OF_MEMORY", "CANCELLED by 0", "TIMEOUT")),
    ],
)
def test_slurm_says_which_jobs_lost_their_machine(state, is_lost):
    cluster = slurm_executor.SlurmBackend(Job(), None, on_cpu=True)
    handle = types.SimpleNamespace(state=state)
    assert cluster.is_lost_machine(handle, RuntimeError("it left no result")) is is_lost


@pytest.mark.parametrize(
    ("name", "pack", "message"),
    [
        ("rya", None, r"executor 'rya' is unknown .*did you mean 'ray'"),
        ("ray", None, r"needs the package ray, .*: pip install 'scaling_jax\[ray\]'"),
        ("slurm", None, r"needs the package submitit, .*: pip install 'scaling_jax\[slurm\]'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(monkeypatch, name, pack, message):
    monkeypatch.setattr(job.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=message):
        Job(executor=name, pack=pack)


def test_this_machine_has_no_options():
    with pytest.raises(InputError, match="'local' has no options, but partition is given"):
        Job(executor_options={"partition": "gpu"})
    Job(pack=4)


def test_a_task_trains_one_run_in_one_process(monkeypatch):
    monkeypatch.setattr(job.importlib.util, "find_spec", lambda name: True)
    with pytest.raises(InputError, match="pack 2: a task of ray trains one run"):
        Job(executor="ray", pack=2)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="processes that train together use 'local'"):
        check_runs([], Job(executor="slurm"))


def test_a_run_is_given_as_many_chips_as_it_fits_on():
    config, h100 = small_study().plan()[0].config, CHIPS["h100"]
    on_cpu = resources(config, Execution())
    assert on_cpu.chips == 0
    assert on_cpu.memory > 2 * 2**30
    assert resources(config, Execution(), h100).chips == 1
    assert resources(config, Execution(), token_bytes=10**9).memory == on_cpu.memory + 10**9
    # As in the run itself, what is left open is chosen so that fewer chips are enough.
    small = replace(h100, usable_bytes=estimated_memory(config, FIXED, Chips(h100)).total // 3)
    chips = resources(config, FIXED, small).chips
    assert chips > 1
    assert resources(config, Execution(), small).chips < chips
    mesh = MeshSpec(fsdp=2, tensor=2)
    assert resources(config, Execution(mesh=mesh), h100).chips == 4
    with pytest.raises(InputError, match=r"does not fit on any number of h100, .*: choose another"):
        resources(config, Execution(), replace(h100, usable_bytes=1))


def test_a_task_trains_its_run_in_a_process_of_its_own(tmp_path, finished):
    run = Store.create(tmp_path, small_study()).runs()[0]
    outcome = train_task(Job(supervision=AT_ONCE), str(run.directory), on_cpu=True)
    assert (outcome.text.split(",")[0], outcome.wait) == (f"loss {run.result.loss:.4f}", None)
    # It may have more threads than a worker that shares the cores.
    assert run.result.loss == pytest.approx(finished.runs()[0].result.loss, rel=1e-4)


@dataclass(frozen=True)
class SlurmJob:
    job_id: str

    def done(self):
        return self.job_id == "7_2"

    def result(self):
        return Outcome("loss 2.0")


def test_a_slurm_job_that_left_the_queue_without_a_result_is_lost(monkeypatch, tmp_path):
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 7_1\necho 9\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in ("_SQUEUE_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(slurm_executor, name, 0.0)
    cluster = slurm_executor.SlurmBackend(Job(), None, on_cpu=True)
    gone, there, done = jobs = [SlurmJob("7_0"), SlurmJob("7_1"), SlurmJob("7_2")]
    assert cluster.finished(jobs) == [done]
    # The second time that it is missing.
    assert cluster.finished(jobs) == [gone, done]
    with pytest.raises(RuntimeError, match="no longer has job 7_0"):
        cluster.outcome(gone)
    assert cluster.outcome(done) == Outcome("loss 2.0")
    assert there not in cluster.finished(jobs)


@needs("submitit")
def test_slurm_jobs_train_a_study(tmp_path, finished):
    options = dict(cluster="local", timeout_min=5)
    store = run_study(small_study(), tmp_path, executor="slurm", executor_options=options)
    assert losses(store) == pytest.approx(losses(finished), rel=1e-4)
    with pytest.raises(InputError, match=r"'slurm' cannot be used: .*Unknown executor 'nonsense'"):
        run_study(
            small_study(8e9),
            tmp_path,
            executor="slurm",
            executor_options=options | {"nonsense_option": 1},
        )


@needs("submitit")
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_a_preempted_slurm_job_saves_and_goes_on_when_it_is_requeued(tmp_path, finished):
    run = Store.create(tmp_path, small_study()).runs()[-1]
    options = {"cluster": "local", "timeout_min": 5}
    job = Job(supervision=Supervision(attempts=1), executor="slurm", executor_options=options)
    cluster = slurm_executor.open_backend(job, [run])
    (handle,) = cluster.submit([run])
    while run.state != "running":
        time.sleep(0.02)
    controller = handle._process.pid
    (pid,) = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    os.kill(int(pid), signal.SIGUSR2)
    while not cluster.finished([handle]):
        assert run.state != "failed"
    assert cluster.outcome(handle).text.startswith("loss")
    states = [event.state for event in history.events(run.directory)]
    assert states == ["leased", "running", "planned", "leased", "running", "finished"]
    assert history.events(run.directory)[2].step > 0
    assert run.result.loss == pytest.approx(finished.runs()[-1].result.loss, rel=1e-4)


@needs("ray")
@pytest.mark.filterwarnings("ignore")
def test_ray_tasks_train_a_study_to_the_same_bits(tmp_path, finished):
    store = run_study(small_study(), tmp_path, executor="ray", workers=2)
    assert losses(store) == losses(finished)
    for options, message in (
        ({"nonsense": 1}, "'ray' cannot be used: .*nonsense"),
        ({"memory": 1e15}, "which no machine of the Ray cluster has"),
    ):
        with pytest.raises(InputError, match=message):
            run_study(small_study(8e9), tmp_path, executor="ray", executor_options=options)
