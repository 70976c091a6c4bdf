"""One attempt at the runs of a pack: locked, recorded, and without effect on other runs."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial

import jax

from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.runs.progress_bar import Report
from scaling_jax.study.execution.job import DEFAULT_JOB, Job
from scaling_jax.study.execution.out_of_memory import train_within_memory
from scaling_jax.study.store import lifecycle
from scaling_jax.study.store.crash_log import crashes_recorded
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.study.store.trunks import await_trunk, lineage, tidy
from scaling_jax.system.agreement import from_first, is_first
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import UnusableCheckpointsError, train_replicas, train_run

ELSEWHERE = "another process is training it"

# How often a run under way looks whether it has been cancelled.
_CANCEL_CHECK_SECONDS = 2.0

# Called with a run, its step, its training loss and its tokens per second.
PackReport = Callable[[StoredRun, int, float, float], None]


class Cancelled(Exception):  # noqa: N818 - an outcome, not a fault
    """The user has cancelled the run while it was trained."""


def attempt_pack(
    pack: Sequence[StoredRun], job: Job, report: PackReport
) -> Iterator[tuple[StoredRun, Outcome]]:
    """Train the runs of `pack` side by side, and yield each with the outcome of its attempt.

    Runs that are finished, cancelled, failed, or held by another process are left out. If the
    others cannot be trained together, for example because memory is short, each is trained alone.

    Raises:
        Preempted: this process was asked to stop; the runs are saved.
    """
    reports = {run.run_id: partial(report, run) for run in pack}
    problem = _train_side_by_side(pack, job, reports) if len(pack) > 1 else None
    for run in pack:
        # A run that was trained above has a result, which is only recorded here.
        outcome = attempt_run(run, job, reports[run.run_id])
        if problem is not None:
            outcome = outcome._replace(
                text=f"{outcome.text} (alone, since side by side: {problem})"
            )
        yield run, outcome


def attempt_run(run: StoredRun, job: Job = DEFAULT_JOB, report: Report | None = None) -> Outcome:
    """Train `run`, unless it is finished, cancelled, failed, or held by another process.

    An error is recorded in the run's history and logged. Processes that train together attempt the
    run together; the first process locks and records it.

    Raises:
        Preempted: this process was asked to stop; the run is saved.
        Exception: the error that ended the attempt, recorded, if processes train together.
    """
    with ExitStack() as stack:
        obstacle = _agreed(lambda: _take(stack, run, job.supervision))
        if obstacle is not None:
            return obstacle
        if from_first(lambda: run.result is None):
            progress = _Progress(run, report, stops_if_cancelled=jax.process_count() == 1)
            with _crashes_recorded(run):
                failure = _train(run, job, progress)
            if failure is not None:
                return failure
        if is_first():
            lifecycle.finish(run)
            tidy(run)
        return Outcome(from_first(lambda: _result_text(run)))


def failed(
    run: StoredRun, reason: str, supervision: Supervision, for_good: bool = False
) -> Outcome:
    """Record a failed attempt; the outcome says whether and when the run is retried."""
    wait = lifecycle.fail(run, reason, supervision, for_good=for_good)
    if wait is None:
        return Outcome(f"failed: {reason}")
    return Outcome(f"attempt failed, again in {wait:.0f} s: {reason}", wait)


def interrupted(run: StoredRun, reason: str, supervision: Supervision) -> Outcome:
    """Record an attempt that something outside the run ended, which counts apart."""
    wait = lifecycle.interrupt(run, reason, supervision)
    if wait is None:
        return Outcome(f"failed: interrupted too often: {reason}")
    return Outcome(f"interrupted, again in {wait:.0f} s: {reason}", wait)


def _crashes_recorded(run: StoredRun) -> AbstractContextManager[None]:
    return crashes_recorded(run.directory) if is_first() else nullcontext()


def _agreed(find: Callable[[], Outcome | None]) -> Outcome | None:
    """What `find` returns in the first process, in every process."""
    fields = from_first(find)
    return None if fields is None else Outcome(*fields)


def _take(stack: ExitStack, run: StoredRun, supervision: Supervision) -> Outcome | None:
    """Lock the run until `stack` ends and record the attempt, or return what prevents it."""
    try:
        if not stack.enter_context(run.lock()):
            return Outcome(ELSEWHERE)
    except OSError as error:
        return failed(run, f"cannot lock it: {error}", supervision)
    obstacle = await_trunk(run, supervision)
    if obstacle is None and run.result is None:
        obstacle = lifecycle.take(run, supervision)
    return obstacle


def _train_side_by_side(
    pack: Sequence[StoredRun], job: Job, reports: Mapping[str, Report]
) -> str | None:
    """Train side by side the runs of `pack` that no other process trains.

    Returns the error where that failed, else None.
    """
    with ExitStack() as stack:

        def is_free(run: StoredRun) -> bool:
            return _take(stack, run, job.supervision) is None and run.result is None

        free = [run for run in pack if from_first(partial(is_free, run))]
        if len(free) < 2:
            _leave(free, "the other runs of its pack are not to be trained here")
            return None
        # What one process leaves is kept with one run; the others of the pack are interrupted.
        stack.enter_context(_crashes_recorded(free[0]))
        try:
            train_replicas(
                [run.planned.config for run in free],
                [run.directory for run in free],
                execution=job.execution,
                cache_dir=job.cache_dir,
                checkpoint_seconds=job.supervision.checkpoint_seconds,
                progress=False,
                reports=[
                    _Progress(run, reports[run.run_id], stops_if_cancelled=False) for run in free
                ],
                lineages=[lineage(run) for run in free],
                track=job.track,
            )
        except Preempted as stop:
            _leave(free, str(stop))
            raise
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            _leave(free, f"trained alone, since side by side: {problem}")
            return problem
    return None


def _leave(runs: Sequence[StoredRun], reason: str) -> None:
    if is_first():
        for run in runs:
            lifecycle.leave(run, reason)


class _Progress:
    """Records a run's first step, forwards its progress, and stops it once it is cancelled."""

    def __init__(self, run: StoredRun, report: Report | None, *, stops_if_cancelled: bool) -> None:
        self._run, self._report, self._stops_if_cancelled = run, report, stops_if_cancelled
        self._has_begun, self._checked_at = False, time.monotonic()

    def __call__(self, step: int, loss: float, tokens_per_second: float) -> None:
        """Process a step (`Cancelled` if the user has cancelled the run)."""
        if not self._has_begun:
            self._has_begun = True
            if is_first():
                lifecycle.begin(self._run)
        if self._report is not None:
            self._report(step, loss, tokens_per_second)
        now = time.monotonic()
        if self._stops_if_cancelled and now > self._checked_at + _CANCEL_CHECK_SECONDS:
            self._checked_at = now
            if self._run.cancelled:
                raise Cancelled


def _train(run: StoredRun, job: Job, report: Report) -> Outcome | None:
    """Train the run; the outcome if it did not end with a result."""
    config = run.planned.config
    once = partial(
        train_run,
        config,
        run.directory,
        cache_dir=job.cache_dir,
        checkpoint_seconds=job.supervision.checkpoint_seconds,
        progress=False,
        report=report,
        lineage=lineage(run),
        track=job.track,
    )

    def train(execution: Execution) -> None:
        try:
            once(execution=execution)
        except UnusableCheckpointsError as error:
            problem = str(error)
            from_first(lambda: _set_aside(run, problem))
            once(execution=execution)

    def note(problem: str) -> None:
        from_first(lambda: _train_again(run, f"{problem}; training with less memory"))

    try:
        exhausted = train_within_memory(train, config, job.execution, note)
    except Preempted as stop:
        _leave([run], str(stop))
        raise
    except Cancelled:
        lifecycle.leave(run, "stopped, since it was cancelled")
        return Outcome("cancelled")
    except InputError as error:
        refusal = str(error)
        # Waiting does not help, and all processes refuse alike.
        return _agreed(lambda: failed(run, refusal, job.supervision, for_good=True))
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        outcome = failed(run, problem, job.supervision) if is_first() else None
        if jax.process_count() > 1:
            # The others may be amid a step and wait for this process: all must start again.
            raise
        return outcome
    if exhausted is not None:
        # All processes have run out of memory, and go on with the other runs.
        return _agreed(lambda: failed(run, exhausted, job.supervision))
    return None


def _set_aside(run: StoredRun, reason: str) -> None:
    aside = run.directory / f"checkpoints.unusable-{uuid.uuid4().hex[:8]}"
    (run.directory / "checkpoints").rename(aside)
    _train_again(run, f"begins from its first step: {reason}; set aside as {aside.name}")


def _train_again(run: StoredRun, reason: str) -> None:
    """Record and say why the attempt that is under way starts again."""
    print(f"{run.run_id}: {reason}", file=sys.stderr)
    lifecycle.leave(run, reason)
    lifecycle.begin(run)


def _result_text(run: StoredRun) -> str:
    result = run.result
    assert result is not None
    loss = "diverged" if result.loss is None else f"loss {result.loss:.4f}"
    note = "" if result.note is None else f" ({result.note})"
    return f"{loss}, {sum(result.seconds.values()):.1f} s{note}"
