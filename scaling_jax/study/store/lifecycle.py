"""The changes of a run's state that training brings, recorded in the run's history.

Only the process that holds the run calls these functions, or one that saw the holder die.
"""

import sys
from collections.abc import Iterable
from typing import NamedTuple

from scaling_jax.study.store import history
from scaling_jax.study.store.crash_log import crash
from scaling_jax.study.store.history import Event, State
from scaling_jax.study.store.loss_curves import damage_of_curve
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.system.files import names

DIED = "the process that trained it was killed, or its machine stopped"
CRASHED = "the process that trained it crashed"
_NEW = Event(0, "planned")


class Outcome(NamedTuple):
    """How an attempt ended, in a few words, and after how many seconds another one may follow."""

    text: str
    wait: float | None = None


def take(run: StoredRun, supervision: Supervision) -> Outcome | None:
    """Record that an attempt begins, or return why none may begin now.

    A previous attempt that ended without a record was interrupted, unless its process left the
    trace of a crash: then it has failed.
    """
    if run.cancelled:
        return Outcome("cancelled")
    if (fault := run.check_result().fault) is not None:
        return Outcome(f"failed: {fault}")
    last = _last(run)
    if last.state == "failed":
        return Outcome(f"failed: {last.reason}")
    if last.state in ("leased", "running"):
        trace = crash(run.directory)
        reason = DIED if trace is None else f"{CRASHED}: {trace}"
        ended = interrupt if trace is None else fail
        if ended(run, reason, supervision) is None:
            return Outcome(f"failed: {reason}")
        last = _last(run)
    elif (left := last.left_to_wait()) > 0:
        return Outcome(f"waits {left:.0f} s after: {last.reason}", left)
    attempts, interruptions = _counts(run, last)
    _record(run, "leased", attempts=attempts, interruptions=interruptions)
    return None


def begin(run: StoredRun) -> None:
    """Record that the run has taken its first steps."""
    last = _last(run)
    _record(run, "running", attempts=last.attempts, interruptions=last.interruptions)


def fail(
    run: StoredRun, reason: str, supervision: Supervision, *, for_good: bool = False
) -> float | None:
    """Record a failed attempt; seconds to wait before the next, or None if there is none.

    There is none either where the failure cannot be recorded, since attempts would then not be
    counted.
    """
    attempts, interruptions = _counts(run, _last(run))
    wait = None if for_good else supervision.wait(attempts + 1)
    return _ended(run, reason, wait, attempts + 1, interruptions)


def interrupt(run: StoredRun, reason: str, supervision: Supervision) -> float | None:
    """Record an attempt that something outside the run ended; the wait as of `fail`.

    It counts apart from failed attempts, and many more are allowed.
    """
    attempts, interruptions = _counts(run, _last(run))
    wait = supervision.wait_after_interruption(interruptions + 1)
    return _ended(run, reason, wait, attempts, interruptions + 1)


def _ended(
    run: StoredRun, reason: str, wait: float | None, attempts: int, interruptions: int
) -> float | None:
    state: State = "failed" if wait is None else "planned"
    counts = dict(attempts=attempts, interruptions=interruptions)
    recorded = _record(run, state, **counts, reason=reason, wait=wait or 0.0)
    return wait if recorded else None


def leave(run: StoredRun, reason: str) -> None:
    """Record that an attempt ended through no fault of the run."""
    last = _last(run)
    counts = dict(attempts=last.attempts, interruptions=last.interruptions)
    _record(run, "planned", **counts, reason=reason)


def finish(run: StoredRun) -> None:
    """Record the status of the run's result, whichever process trained it."""
    result, last = run.result, _last(run)
    if result is not None and last.state != result.status:
        _record(run, result.status)


def retry_failed(runs: Iterable[StoredRun]) -> None:
    """Let those of `runs` that failed for good be retried, as often as new runs.

    What a run with a faulty result, or a finished run with a damaged curve, has left is set aside:
    it is trained again from its first step.
    """
    for run in runs:
        fault = run.check_result().fault or damage_of_curve(run)
        if fault is not None:
            run.set_aside()
        if fault is not None or run.state == "failed":
            _record(run, "planned", reason="to be retried, as the user requested")


def newest_step(run: StoredRun) -> int:
    """Step of the run's newest checkpoint, whole or not; 0 for none."""
    steps = (int(name) for name in names(run.directory / "checkpoints") if name.isdecimal())
    return max(steps, default=0)


def _last(run: StoredRun) -> Event:
    return history.last_event(run.directory) or _NEW


def _counts(run: StoredRun, last: Event) -> tuple[int, int]:
    """Failed attempts and interruptions since the run got past the checkpoint it had at `last`."""
    return (0, 0) if newest_step(run) > last.step else (last.attempts, last.interruptions)


def _record(
    run: StoredRun,
    state: State,
    *,
    attempts: int = 0,
    interruptions: int = 0,
    reason: str | None = None,
    wait: float = 0.0,
) -> bool:
    """Add to the run's history; False, with a warning, where that fails."""
    step = newest_step(run)
    try:
        history.record(
            run.directory,
            state,
            attempts=attempts,
            interruptions=interruptions,
            reason=reason,
            step=step,
            wait=wait,
        )
    except OSError as error:
        # A full disk must not end the training that the record is about.
        print(f"{run.run_id}: cannot record that it is {state}: {error}", file=sys.stderr)
        return False
    return True
