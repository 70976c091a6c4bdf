"""The changes of a run's state that its training brings, as the run's history records them.

Whoever calls these holds the run, or has seen the process die that held it.
"""

import sys

from scaling_jax.study.store import history
from scaling_jax.study.store.history import Event, State
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.study.store.store import StoredRun
from scaling_jax.system.files import names

DIED = "the process that trained it died without a word"
_NEW = Event(0, "planned")


def take(run: StoredRun, supervision: Supervision) -> tuple[str, float | None] | None:
    """Begin an attempt; else say in a few words why not, and after how many seconds it may be.

    An attempt that ended without a word, as by a kill of everything, counts as a failed one.
    """
    if run.cancelled:
        return "cancelled", None
    last = _last(run)
    if last.state == "failed":
        return f"failed: {last.reason}", None
    if last.state in ("leased", "running"):
        wait = fail(run, DIED, supervision)
        if wait is None:
            return f"failed: {DIED}", None
    elif (left := last.left_to_wait()) > 0:
        return f"waits {left:.0f} s after: {last.reason}", left
    _record(run, "leased", attempts=_attempts(run, _last(run)))
    return None


def begin(run: StoredRun) -> None:
    """The run has taken its first steps."""
    _record(run, "running", attempts=_last(run).attempts)


def fail(
    run: StoredRun, reason: str, supervision: Supervision, *, for_good: bool = False
) -> float | None:
    """An attempt failed: seconds to wait before the next, or None if there is none.

    There is none either where that cannot be recorded, since nobody would count the attempts.
    """
    attempts = _attempts(run, _last(run)) + 1
    wait = None if for_good else supervision.wait(attempts)
    state: State = "failed" if wait is None else "planned"
    recorded = _record(run, state, attempts=attempts, reason=reason, wait=wait or 0.0)
    return wait if recorded else None


def leave(run: StoredRun, reason: str) -> None:
    """An attempt ended by no fault of the run."""
    _record(run, "planned", attempts=_last(run).attempts, reason=reason)


def finish(run: StoredRun) -> None:
    """The run is over, whoever trained it."""
    result, last = run.result, _last(run)
    if result is not None and last.state != result.status:
        _record(run, result.status)


def retry(run: StoredRun) -> None:
    """Let a failed run be tried again, as often as a new one."""
    _record(run, "planned", reason="to be tried again, as the user asked")


def _last(run: StoredRun) -> Event:
    return history.last_event(run.directory) or _NEW


def _attempts(run: StoredRun, last: Event) -> int:
    """Failed attempts since the run last came further than its checkpoint of then."""
    return 0 if newest_step(run) > last.step else last.attempts


def newest_step(run: StoredRun) -> int:
    """Step of the run's newest checkpoint, whole or not; 0 for none."""
    steps = (int(name) for name in names(run.directory / "checkpoints") if name.isdecimal())
    return max(steps, default=0)


def _record(
    run: StoredRun,
    state: State,
    *,
    attempts: int = 0,
    reason: str | None = None,
    wait: float = 0.0,
) -> bool:
    try:
        history.record(
            run.directory,
            state,
            attempts=attempts,
            reason=reason,
            step=newest_step(run),
            wait=wait,
        )
    except OSError as error:
        # A disk without room for this must not end what it tells of.
        print(f"{run.run_id}: cannot record that it is {state}: {error}", file=sys.stderr)
        return False
    return True
