"""Training the unfinished runs of a study."""

import importlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Unpack

from scaling_jax.forked import refuse_forked
from scaling_jax.study.execution.backend import Backend, hand_out
from scaling_jax.study.execution.check import check_runs, check_study
from scaling_jax.study.execution.display import Display, study_display
from scaling_jax.study.execution.job import DEFAULT_JOB, Job, JobOptions
from scaling_jax.study.execution.order import ordered
from scaling_jax.study.execution.packs import Pack, n_workers, pack_runs
from scaling_jax.study.execution.this_process import ThisProcess
from scaling_jax.study.execution.verification import freeze_forecast, verification_runs
from scaling_jax.study.execution.worker_pool import WorkerPool
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store import lifecycle
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import SETTLED, StoredRun
from scaling_jax.system.agreement import from_first, gathered, is_first, together
from scaling_jax.system.files import as_path
from scaling_jax.system.preemption import StopRequest, stop_request


def run_study(
    study: Study,
    root: os.PathLike | str,
    job: Job = DEFAULT_JOB,
    **options: Unpack[JobOptions],
) -> Store:
    """Train the runs of `study` that are not finished, and return its store.

    The call can be repeated, interrupted, and started several times at once: a run is trained by
    one process at a time, continues where it stopped, and is never trained again once it has
    finished. A run that fails is retried and recorded, and does not stop the others; a run that
    has failed for good or is cancelled is skipped. Processes that `Processes.connect` has joined
    train each run together. Verification runs of the design come last, once the others have ended
    and the forecast of a law fitted to them is in `forecast.json` of the study's directory.

    Args:
        study: what to train.
        root: directory in which the study has its own.
        job: how the runs are trained.
        options: fields of `Job` to change, such as `workers=2`.

    Raises:
        InputError: bad input, found before anything is trained; or, before a verification run is
            trained, no law through the other runs that could forecast it.
        Preempted: asked to stop; the runs under way are saved.
    """
    job = replace(job, **options)
    store = create_store(study, root, job)
    tests = verification_runs(study, store)
    test_ids = {run.run_id for run in tests}
    train_runs([run for run in store.runs() if run.run_id not in test_ids], job)
    if tests and _frozen(study, store, tests):
        train_runs(tests, job)
    return store


def _frozen(study: Study, store: Store, tests: Sequence[StoredRun]) -> bool:
    """Whether the verification runs can be trained, since a forecast of them is stored."""
    frozen = False
    with together():
        if is_first():
            frozen = freeze_forecast(study, store, tests)
    return bool(from_first(lambda: frozen))


def create_store(study: Study, root: os.PathLike | str, job: Job) -> Store:
    """The store of `study` under `root`, created once the study has been checked.

    Raises:
        InputError: the study cannot be planned, stored or trained as `job` says.
    """
    with together():
        check_study(study, root, job)
    with together():
        created = Store.create(root, study) if is_first() else None
    store = created or Store.open(as_path(root) / study.name)
    if job.retry_failed and is_first():
        lifecycle.retry_failed(store.runs())
    return store


def train_runs(
    runs: Iterable[StoredRun], job: Job = DEFAULT_JOB, **options: Unpack[JobOptions]
) -> None:
    """Train each of `runs` that is not finished, in the order of `ordered`.

    With one worker, this process trains; each of several is a process pinned to its share of the
    cores. The losses of a run depend on the CPU threads that train it, in about the sixth digit,
    because sums are taken in another order; for the same threads they are the same, bit for bit,
    whatever the number of workers.

    Args:
        runs: runs of one store.
        job: how the runs are trained.
        options: fields of `Job` to change, such as `workers=2`.

    Raises:
        InputError: bad input, found before anything is trained.
        Preempted: asked to stop; the runs under way are saved.
    """
    # Otherwise every run would fail for good.
    refuse_forked()
    job, listed = replace(job, **options), ordered(list(runs))
    if job.retry_failed and is_first():
        lifecycle.retry_failed(listed)
    unsettled = [run.run_id for run in listed if run.state not in SETTLED] if is_first() else []
    run_ids = set(from_first(lambda: unsettled))
    waiting = [run for run in listed if run.run_id in run_ids]
    if not waiting:
        return
    # This also tokenizes, once, the text that all workers read.
    with together():
        check_runs(listed, job)
    packs = pack_runs(waiting, job) if job.is_local else [[run] for run in waiting]
    with stop_request() as stop, study_display(waiting, job.progress and is_first()) as display:
        backend = open_backend(job, packs, display)
        hand_out(packs, backend, display, lambda: _stop_together(stop))


def open_backend(job: Job, packs: Sequence[Pack], display: Display) -> Backend:
    """What trains `packs` as `job` says.

    Raises:
        InputError: a cluster cannot be reached, lacks an option, or has no room for a run.
    """
    if not job.is_local:
        # Imported on use, since the package of a cluster may not be installed.
        module = importlib.import_module(f"scaling_jax.study.execution.{job.executor}_executor")
        return module.open_backend(job, [run for pack in packs for run in pack])
    n = n_workers(job, len(packs))
    return WorkerPool(job, n, display) if n > 1 else ThisProcess(job, display)


def _stop_together(stop: StopRequest) -> None:
    """Raise `Preempted` in all processes that train together once one of them has to stop."""
    for signum in gathered(stop.signum):
        stop.signum = stop.signum or signum
    stop.raise_if_requested()
