"""Training every unfinished run of a study on this machine."""

import os
import time
from collections.abc import Iterable, Sequence

import jax
from etils import epath

from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.study.execution.check import check_runs, check_study
from scaling_jax.study.execution.clusters import (
    LOCAL,
    NO_OPTIONS,
    Options,
    check_executor,
    open_cluster,
    train_on,
)
from scaling_jax.study.execution.job import Task
from scaling_jax.study.execution.order import ordered
from scaling_jax.study.execution.packs import Pack, attempt_pack, packs
from scaling_jax.study.execution.progress import StudyProgress, study_progress
from scaling_jax.study.execution.run_queue import Waiting
from scaling_jax.study.execution.watchdog import ending_if_stalled
from scaling_jax.study.execution.worker_pool import train_in_workers
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store import lifecycle
from scaling_jax.study.store.retry_policy import USUAL, Supervision
from scaling_jax.study.store.store import SETTLED, Store, StoredRun
from scaling_jax.system.agreement import from_first, gathered, is_first, together
from scaling_jax.system.cores import usable_cores
from scaling_jax.system.preemption import StopRequest, stop_request
from scaling_jax.train import program_of

_POLL_SECONDS = 0.2


def run_study(
    study: Study,
    root: os.PathLike | str,
    *,
    workers: int | None = None,
    pack: int | None = None,
    execution: Execution = DEFAULT,
    supervision: Supervision = USUAL,
    retry_failed: bool = False,
    executor: str = LOCAL,
    executor_options: Options = NO_OPTIONS,
    cache_dir: os.PathLike | str | None = None,
    progress: bool = True,
) -> Store:
    """Train what of `study` is not over yet and return its store.

    Safe to repeat, to interrupt and to start several times at once: a run is trained by one
    process at a time, continues where it stopped, and is never trained again once over. A run
    that fails for its own reasons is tried again, recorded, and does not stop the others; once it
    has failed for good or is cancelled it is left alone. Processes that have been joined by
    `Processes.connect` train each run together.

    Args:
        study: what to train.
        root: directory that holds the study's own.
        workers, pack: see `train_runs`.
        execution: how every run is computed.
        supervision: what is done about runs that fail, hang or are cut short.
        retry_failed: try those again that have failed for good.
        executor, executor_options: see `train_runs`.
        cache_dir: of tokens.
        progress: whether to show it on standard error.

    Raises:
        InputError: bad input, found before anything is trained.
        Preempted: asked to stop; the runs under way are saved.
    """
    with together():
        check_executor(executor, pack, executor_options)
        check_study(
            study,
            root,
            pack=pack,
            execution=execution,
            elsewhere=executor != LOCAL,
            cache_dir=cache_dir,
            progress=progress,
        )
    with together():
        created = Store.create(root, study) if is_first() else None
    store = created or Store.open(epath.Path(root) / study.name)
    runs = store.runs()
    if retry_failed and is_first():
        for run in runs:
            if run.state == "failed":
                lifecycle.retry(run)
    train_runs(
        runs,
        workers=workers,
        pack=pack,
        execution=execution,
        supervision=supervision,
        executor=executor,
        executor_options=executor_options,
        cache_dir=cache_dir,
        progress=progress,
    )
    return store


def train_runs(
    runs: Iterable[StoredRun],
    *,
    workers: int | None = None,
    pack: int | None = None,
    execution: Execution = DEFAULT,
    supervision: Supervision = USUAL,
    executor: str = LOCAL,
    executor_options: Options = NO_OPTIONS,
    cache_dir: os.PathLike | str | None = None,
    progress: bool = True,
) -> None:
    """Train each of `runs` that is not over, in the order of `ordered`.

    With one worker, in this process. With several, each is a process pinned to its share of the
    cores. By default there is one worker to a core on a CPU, which is the fastest for models that
    fit, and one in all on an accelerator.

    Up to `pack` runs of one program train side by side in it, spread over the devices. By default
    as many as keep an accelerator busy and fit in half its memory, and on a CPU one, since a
    process to a core is faster there.

    A run's losses depend on the CPU threads that train it, in about the sixth digit, because
    sums are taken in another order; for the same threads they are the same, bit for bit,
    whatever the number of workers.

    Another executor than `local` trains each run as a task of a cluster that sees the store, with
    options of its own; `workers` then bounds how many are under way.

    Raises:
        InputError: bad input, or several workers on an accelerator.
        Preempted: asked to stop; the runs under way are saved.
    """
    listed = ordered(list(runs))
    unsettled = [run.run_id for run in listed if run.state not in SETTLED] if is_first() else []
    unfinished = set(from_first(lambda: unsettled))
    waiting = [run for run in listed if run.run_id in unfinished]
    if not waiting:
        return
    elsewhere = executor != LOCAL
    # This also tokenizes, once, what all workers read.
    with together():
        check_executor(executor, pack, executor_options)
        check_runs(
            listed,
            pack=pack,
            execution=execution,
            elsewhere=elsewhere,
            cache_dir=cache_dir,
            progress=progress,
        )
        n_workers = 0 if elsewhere else _n_workers(workers)
        made = [] if elsewhere else packs(waiting, pack, execution)
    if elsewhere:
        cache = None if cache_dir is None else os.fspath(cache_dir)
        task = Task(execution, supervision, cache)
        cluster = open_cluster(executor, executor_options, workers, waiting, task)
        with stop_request() as stop, study_progress(waiting, progress) as display:
            train_on(cluster, waiting, task, display, stop)
        return
    n_workers = min(len(made), n_workers)
    with stop_request() as stop, study_progress(waiting, progress and is_first()) as display:
        if n_workers > 1:
            train_in_workers(made, n_workers, execution, cache_dir, display, stop, supervision)
        else:
            _train_here(made, execution, cache_dir, display, stop, supervision)


def _n_workers(wanted: int | None) -> int:
    on_cpu = jax.default_backend() == "cpu"
    if jax.process_count() > 1:
        if wanted not in (None, 1):
            raise InputError(f"workers {wanted}: processes that train together use one worker each")
        return 1
    if wanted is None:
        return usable_cores() if on_cpu else 1
    if wanted < 1:
        raise InputError(f"workers {wanted} must be at least 1")
    if wanted > 1 and not on_cpu:
        raise InputError(
            f"workers {wanted}: processes cannot share the {jax.default_backend()} devices; use "
            "one worker"
        )
    return wanted


def _train_here(
    made: Sequence[Pack],
    execution: Execution,
    cache_dir: os.PathLike | str | None,
    display: StudyProgress,
    stop: StopRequest,
    supervision: Supervision,
) -> None:
    waiting, compiled = Waiting(made), set[RunConfig]()
    with ending_if_stalled(supervision.stall_seconds) as alive:

        def advanced(run: StoredRun, step: int, loss: float, tokens_per_second: float) -> None:
            alive()
            display.advanced(run, step)

        while waiting:
            for signum in gathered(stop.signum):
                stop.signum = stop.signum or signum
            stop.raise_if_requested()
            alive()
            # Processes that train together must all take the same one.
            pack = _next(waiting, compiled)
            if pack is None:
                time.sleep(_POLL_SECONDS)
                continue
            compiled.add(program_of(pack[0].planned.config))
            for run, outcome in attempt_pack(
                pack,
                execution=execution,
                cache_dir=cache_dir,
                advanced=advanced,
                supervision=supervision,
            ):
                alive()
                if outcome.wait is None:
                    display.over(run, outcome.text)
                else:
                    display.say(f"{run.run_id}: {outcome.text}")
                    waiting.put_back([run], outcome.wait)


def _next(waiting: Waiting, compiled: set[RunConfig]) -> Pack | None:
    """The next pack, the same in all processes that train together."""
    pack = waiting.next(compiled) if is_first() else None
    ids = from_first(lambda: [run.run_id for run in pack] if pack else None)
    return pack if is_first() or ids is None else waiting.take(ids)
