"""One attempt at one run of a store: locked, recorded, never in the way of the others."""

import os
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import jax

from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.runs.progress_bar import Report
from scaling_jax.runs.result import Result
from scaling_jax.study.store import lifecycle
from scaling_jax.study.store.retry_policy import USUAL, Supervision
from scaling_jax.study.store.store import StoredRun
from scaling_jax.study.store.trunks import await_trunk, lineage, tidy
from scaling_jax.system.agreement import from_first, is_first
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import UnusableCheckpointsError, train_run

ELSEWHERE = "another process is training it"

# How often a run under way looks whether it has been cancelled.
_LOOK_SECONDS = 2.0


class Cancelled(Exception):  # noqa: N818 - an outcome, not a fault
    """The user has cancelled the run while it was trained."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt went, in a few words, and in how many seconds another one may follow."""

    text: str
    wait: float | None = None


def attempt(
    run: StoredRun,
    *,
    execution: Execution = DEFAULT,
    cache_dir: os.PathLike | str | None = None,
    report: Report | None = None,
    supervision: Supervision = USUAL,
) -> Outcome:
    """Train `run` unless it is over, cancelled, given up, or another process has it.

    Whatever it fails of is recorded and said. Processes that train together attempt it together;
    the first of them holds and records it.

    Raises:
        Preempted: asked to stop; the run is saved.
        Exception: whatever it failed of, recorded, if it is trained together.
    """
    with ExitStack() as stack:
        mine = from_first(lambda: hold(stack, run, supervision))
        if mine is not True:
            return Outcome(*mine)
        waits = from_first(lambda: await_trunk(run, supervision))
        if waits is not None:
            return Outcome(*waits)
        if from_first(lambda: run.result is None):
            barred = from_first(lambda: lifecycle.take(run, supervision))
            if barred is not None:
                return Outcome(*barred)
            listener = Listener(run, report, heed_cancel=jax.process_count() == 1)
            failure = _train(run, execution, cache_dir, listener, supervision)
            if failure is not None:
                return failure
        if is_first():
            lifecycle.finish(run)
            tidy(run)
        return Outcome(from_first(lambda: _in_words(run.result)))


def hold(stack: ExitStack, run: StoredRun, supervision: Supervision) -> bool | list:
    """Lock the run until `stack` ends: True, or what an `Outcome` says of why it is not."""
    try:
        return stack.enter_context(run.lock()) or [ELSEWHERE]
    except OSError as error:
        return list(_fields(failed(run, f"cannot lock it: {error}", supervision)))


def failed(
    run: StoredRun, reason: str, supervision: Supervision, for_good: bool = False
) -> Outcome:
    """Record a failed attempt and say what follows."""
    wait = lifecycle.fail(run, reason, supervision, for_good=for_good)
    if wait is None:
        return Outcome(f"failed: {reason}")
    return Outcome(f"attempt failed, again in {wait:.0f} s: {reason}", wait)


class Listener:
    """Hears how far a run is: records its start, passes it on, heeds that it is cancelled."""

    def __init__(self, run: StoredRun, report: Report | None, *, heed_cancel: bool) -> None:
        self._run, self._report, self._heed_cancel = run, report, heed_cancel
        self._begun, self._looked_at = False, time.monotonic()

    def __call__(self, step: int, loss: float, tokens_per_second: float) -> None:
        """Take note of a step.

        Raises:
            Cancelled: the user no longer wants the run.
        """
        if not self._begun:
            self._begun = True
            if is_first():
                lifecycle.begin(self._run)
        if self._report is not None:
            self._report(step, loss, tokens_per_second)
        if self._heed_cancel and time.monotonic() > self._looked_at + _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            if self._run.cancelled:
                raise Cancelled


def _train(
    run: StoredRun,
    execution: Execution,
    cache_dir: os.PathLike | str | None,
    report: Report,
    supervision: Supervision,
) -> Outcome | None:
    """How the attempt failed, None if it did not."""
    related = lineage(run)

    def train() -> None:
        train_run(
            run.planned.config,
            run.directory,
            execution=execution,
            cache_dir=cache_dir,
            checkpoint_seconds=supervision.checkpoint_seconds,
            progress=False,
            report=report,
            lineage=related,
        )

    try:
        _anew_if_need_be(run, train)
    except Preempted as stop:
        if is_first():
            lifecycle.leave(run, str(stop))
        raise
    except Cancelled:
        lifecycle.leave(run, "stopped, since it was cancelled")
        return Outcome("cancelled")
    except InputError as error:
        reason = str(error)
        # Waiting does not help, and all processes are refused alike.
        return Outcome(*from_first(lambda: _fields(failed(run, reason, supervision, True))))
    except Exception as error:
        alone = jax.process_count() == 1
        outcome = None
        if is_first():
            outcome = failed(run, f"{type(error).__name__}: {error}", supervision)
        if not alone:
            # The others may be amid a step and wait for this one: all must begin anew.
            raise
        return outcome
    return None


def _anew_if_need_be(run: StoredRun, train: Callable[[], None]) -> None:
    """Train; where no checkpoint can be continued from, set them aside and begin anew."""
    try:
        train()
    except UnusableCheckpointsError as error:
        reason = str(error)
        from_first(lambda: _set_aside(run, reason))
        train()


def _set_aside(run: StoredRun, reason: str) -> None:
    aside = run.directory / f"checkpoints.unusable-{uuid.uuid4().hex[:8]}"
    (run.directory / "checkpoints").rename(aside)
    print(f"{run.run_id}: {reason}; set aside as {aside.name}, training anew", file=sys.stderr)
    lifecycle.leave(run, f"begins anew: {reason}; set aside as {aside.name}")
    lifecycle.begin(run)


def _fields(outcome: Outcome) -> tuple[str, float | None]:
    return outcome.text, outcome.wait


def _in_words(result: Result | None) -> str:
    assert result is not None
    loss = "diverged" if result.loss is None else f"loss {result.loss:.4f}"
    why = "" if result.note is None else f" ({result.note})"
    return f"{loss}, {sum(result.seconds.values()):.1f} s{why}"
