"""Training the runs of a study as tasks of Ray or Slurm, on the same store as one machine."""

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import jax

from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.execution.attempt import Outcome, failed
from scaling_jax.study.execution.job import Task
from scaling_jax.study.execution.progress import Display
from scaling_jax.study.execution.run_queue import Waiting
from scaling_jax.study.store.store import StoredRun
from scaling_jax.system.preemption import StopRequest

LOCAL = "local"
_PACKAGES = {"ray": "ray", "slurm": "submitit"}
EXECUTORS = (LOCAL, *_PACKAGES)

Options = Mapping[str, Any]
NO_OPTIONS: Options = MappingProxyType({})


class Cluster(Protocol):
    """A scheduler with tasks under way, each known by a handle."""

    def submit(self, runs: Sequence[StoredRun], task: Task) -> list[Any]:
        """Let `task` train each of `runs` somewhere; a handle for each."""

    def finished(self, handles: Sequence[Any]) -> list[Any]:
        """Those of `handles` whose task has ended; waits a moment."""

    def outcome(self, handle: Any) -> Outcome:
        """What the task gave.

        Raises:
            Exception: it was lost.
        """

    def close(self, handles: Sequence[Any]) -> None:
        """Ask the tasks under way to save and end, and let go of the scheduler."""


def check_executor(name: str, pack: int | None, options: Options = NO_OPTIONS) -> None:
    """Refuse an executor that does not exist or cannot be used here.

    Raises:
        InputError: with the name that was meant, or the line that installs it.
    """
    if name not in EXECUTORS:
        raise InputError(f"executor {name!r} is unknown{suggestion(name, EXECUTORS)}")
    if name == LOCAL:
        if options:
            raise InputError(
                f"executor {LOCAL!r} has no options, but {', '.join(options)} is given: leave it "
                f"out, or choose one of {', '.join(_PACKAGES)}"
            )
        return
    if jax.process_count() > 1:
        raise InputError(f"executor {name!r}: processes that train together use {LOCAL!r}")
    if importlib.util.find_spec(_PACKAGES[name]) is None:
        raise InputError(
            f"executor {name!r} needs the package {_PACKAGES[name]}, which is not installed: "
            f"pip install 'scaling_jax[{name}]'"
        )
    if pack not in (None, 1):
        raise InputError(f"pack {pack}: a task of {name} trains one run; leave it out")


def open_cluster(
    name: str, options: Options, workers: int | None, runs: Sequence[StoredRun], task: Task
) -> Cluster:
    """The scheduler of an executor, ready for `runs`.

    Raises:
        InputError: it cannot be reached, an option that it does not have, or runs too large.
    """
    module = importlib.import_module(f"scaling_jax.study.execution.{name}_executor")
    return module.open_cluster(dict(options), workers, runs, task)


def train_on(
    cluster: Cluster, runs: Sequence[StoredRun], task: Task, display: Display, stop: StopRequest
) -> None:
    """Train `runs` as tasks of `cluster`, in their order as far as there is room.

    A task that is lost, with its machine for one, counts as an attempt of its run.

    Raises:
        Preempted: asked to stop; the tasks under way have been asked to save and end.
    """
    waiting = Waiting([[run] for run in runs])
    under_way: dict[Any, StoredRun] = {}
    try:
        while waiting or under_way:
            stop.raise_if_requested()
            due = _due(waiting, [run.run_id for run in under_way.values()])
            if due:
                under_way |= zip(cluster.submit(due, task), due, strict=True)
            for handle in cluster.finished(list(under_way)):
                run = under_way.pop(handle)
                outcome = _outcome(cluster, handle, run, task)
                if outcome.wait is None:
                    display.over(run, outcome.text)
                else:
                    display.say(f"{run.run_id}: {outcome.text}")
                    waiting.put_back([run], outcome.wait)
    finally:
        cluster.close(list(under_way))


def _due(waiting: Waiting, under_way: Iterable[str]) -> list[StoredRun]:
    due: list[StoredRun] = []
    begun = set(under_way)
    while pack := waiting.next(set(), begun):
        due += pack
        begun.update(run.run_id for run in pack)
    return due


def _outcome(cluster: Cluster, handle: Any, run: StoredRun, task: Task) -> Outcome:
    try:
        return cluster.outcome(handle)
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        reason = f"its task was lost: {type(error).__name__}: {first_line}"
        return failed(run, reason, task.supervision)
