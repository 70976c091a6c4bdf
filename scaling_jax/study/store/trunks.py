"""Branches in a store: when they can begin, and which checkpoints their trunks keep for them.

A trunk's directory has a file for each of its branches, so that the process that trains the trunk
knows which checkpoints to keep without reading the plans of the whole study.
"""

from dataclasses import replace
from typing import Any

from etils import epath

from scaling_jax.errors import InputError
from scaling_jax.runs.result import Result, write_result
from scaling_jax.study.store import history, lifecycle
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.study.store.store import BRANCHES
from scaling_jax.study.store.stored_run import StoredRun, read_run
from scaling_jax.system.agreement import from_first
from scaling_jax.system.files import read_text
from scaling_jax.train import Lineage, Origin


def lineage(run: StoredRun) -> Lineage:
    """Where the run begins, and which of its checkpoints unfinished branches need."""
    kept = from_first(lambda: sorted(_branch_steps(run.directory, unfinished=True)))
    return Lineage(origin(run), frozenset(kept))


def origin(run: StoredRun) -> Origin | None:
    """The checkpoint that the run begins from, if it is a branch."""
    branch = run.planned.branch
    if branch is None:
        return None
    return Origin(run.directory.parent / branch.trunk, branch.step)


def can_begin(run: StoredRun) -> bool:
    """Whether the run is no branch, or its trunk's checkpoint or one of its own exists."""
    begins_at = origin(run)
    return begins_at is None or begins_at.is_there or lifecycle.newest_step(run) > 0


def await_trunk(run: StoredRun, supervision: Supervision) -> Outcome | None:
    """Why the run has to wait for its trunk or cannot begin at all; None if it can or has ended.

    A branch of a trunk that diverged before the branch begins has diverged too, since up to there
    they are the same run; a branch of a failed or cancelled trunk has failed. Both are recorded.
    Where the trunk has ended and its checkpoint is gone, the branch begins at its first step, or
    has failed if it has no steps before that checkpoint.
    """
    begins_at = origin(run)
    settled = run.cancelled or history.last_state(run.directory) == "failed"
    if begins_at is None or settled or run.result is not None or can_begin(run):
        return None
    result = _result(begins_at.directory)
    if result is not None:
        if _diverged_before(result, begins_at):
            _diverge(run, begins_at, result)
        elif (lost := lost_start(run)) is not None:
            lifecycle.fail(run, lost, supervision, for_good=True)
            return Outcome(f"failed: {lost}")
        return None
    waits, reason = _state_of(begins_at.directory)
    if waits:
        return Outcome(f"waits, since {reason}")
    lifecycle.fail(run, reason, supervision, for_good=True)
    return Outcome(f"failed: {reason}")


def lost_start(run: StoredRun) -> str | None:
    """Why a run cannot start from a checkpoint of a run that has ended; None if it can or has."""
    start, begins_at = run.planned.config.start, origin(run)
    if start is None or begins_at is None or run.result is not None or can_begin(run):
        return None
    result = _result(begins_at.directory)
    if result is None or _diverged_before(result, begins_at):
        return None
    return (
        f"run {run.run_id} starts from step {start.step:,} of run {start.run}, which has ended and "
        f"kept no checkpoint of it: delete the directory of {start.run} to train it again, or "
        "choose another root"
    )


def _diverged_before(result: Result, begins_at: Origin) -> bool:
    return result.status == "diverged" and result.steps <= begins_at.step


def tidy(run: StoredRun) -> None:
    """Delete checkpoints that only finished branches needed, once `run` has finished."""
    begins_at = origin(run)
    trunk = begins_at.directory if begins_at else run.directory
    # A run under way has its checkpoints open; it drops those it does not need when it starts.
    result = _result(trunk)
    if result is None:
        return
    # The last checkpoint is the trained model.
    unused = _branch_steps(trunk) - _branch_steps(trunk, unfinished=True) - {result.steps}
    for step in unused:
        Origin(trunk, step).release()


def _diverge(run: StoredRun, begins_at: Origin, result: Result) -> None:
    note = f"its trunk {begins_at.directory.name} diverged at step {result.steps:,}, before it"
    known: dict[str, Any] = {"steps": result.steps, "tokens": result.tokens}
    known["begun_at"] = result.steps
    if run.planned.config.start is not None:
        known = {"steps": 0, "tokens": 0, "unique_tokens": 0, "begun_at": 0}
    as_the_trunk = replace(result, note=note, seconds={}, tokens_per_second=None, **known)
    write_result(run.directory, as_the_trunk, run.planned.config)


def _result(directory: epath.Path) -> Result | None:
    """The result of a run; None while it has none that can be used, or is not stored."""
    try:
        return read_run(directory).result
    except InputError:
        return None


def _state_of(trunk: epath.Path) -> tuple[bool, str]:
    """Whether an unfinished trunk will still reach its branches, and its state in words."""
    try:
        stored = read_run(trunk)
        state, failure = stored.state, stored.failure
    except InputError as error:
        return False, f"its trunk cannot be read: {error}"
    reason = f"its trunk {trunk.name} is {state}" + (f": {failure}" if failure else "")
    return state not in ("failed", "cancelled"), reason


def _branch_steps(trunk: epath.Path, *, unfinished: bool = False) -> set[int]:
    folder = trunk / BRANCHES
    if not folder.exists():
        return set()
    # Files that are being written have names that begin with a dot.
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    steps = {
        _step_in(path, trunk.parent / path.name)
        for path in paths
        if not unfinished or _result(trunk.parent / path.name) is None
    }
    return {step for step in steps if step is not None}


def _step_in(path: epath.Path, branch: epath.Path) -> int | None:
    """The step at which a branch begins, from its plan where its file at the trunk is damaged."""
    try:
        return int(read_text(path))
    except (OSError, ValueError):
        pass
    try:
        begins_at = read_run(branch).planned.branch
    except InputError:
        return None
    return None if begins_at is None else begins_at.step
