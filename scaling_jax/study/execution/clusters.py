"""What the backends of clusters share: each run is a task that a scheduler places."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from scaling_jax.study.execution.attempt import failed, interrupted
from scaling_jax.study.execution.backend import hand_out
from scaling_jax.study.execution.job import LOCAL, Job
from scaling_jax.study.execution.run_queue import RunQueue
from scaling_jax.study.execution.worker_pool import WorkerPool
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.stored_run import StoredRun, read_run
from scaling_jax.system.environment import training_environment, worker_environment
from scaling_jax.system.files import as_path
from scaling_jax.system.preemption import Preempted, stop_request

STOPPED = "its task was asked to stop; submitted again"
POLL_SECONDS = 0.5
CLOSE_SECONDS = 60.0


class ClusterBackend(ABC):
    """Submits a task for every run that is due; the scheduler of the cluster finds room for it.

    A task that is lost counts as an attempt of its run, or, with its machine, as an interruption.
    Subclasses talk to one scheduler each, which knows a task by a handle.
    """

    def __init__(self, job: Job) -> None:
        # In a task, the machine it is placed on is the local one.
        self.job = replace(job, executor=LOCAL, executor_options={}, workers=1)
        self._under_way: dict[Any, StoredRun] = {}

    def start(self, queue: RunQueue) -> None:
        """Submit all runs that are due, at once."""
        due: list[StoredRun] = []
        while pack := queue.next():
            due += pack
        if due:
            self._under_way |= zip(self.submit(due), due, strict=True)

    def ended(self) -> Iterator[tuple[StoredRun, Outcome]]:
        """Runs whose task has ended or was lost."""
        if not self._under_way:
            time.sleep(POLL_SECONDS)
            return
        for handle in self.finished(list(self._under_way)):
            run = self._under_way.pop(handle)
            try:
                outcome = self.outcome(handle)
            except Exception as error:
                first_line = next(iter(str(error).splitlines()), "")
                reason = f"its task was lost: {type(error).__name__}: {first_line}"
                record = interrupted if self.is_lost_machine(handle, error) else failed
                outcome = record(run, reason, self.job.supervision)
            yield run, outcome

    def close(self) -> None:
        """Let the tasks under way save and end, and disconnect from the scheduler."""
        self.cancel(list(self._under_way))

    @abstractmethod
    def submit(self, runs: Sequence[StoredRun]) -> list[Any]:
        """Submit a task for each run; their handles."""

    @abstractmethod
    def finished(self, handles: Sequence[Any]) -> list[Any]:
        """Those of `handles` whose task has ended; waits a moment."""

    @abstractmethod
    def outcome(self, handle: Any) -> Outcome:
        """The outcome that the task returned; any exception means that the task was lost."""

    def is_lost_machine(self, handle: Any, error: Exception) -> bool:
        """Whether the task was lost with its machine or taken from it, by no fault of the run."""
        return False

    @abstractmethod
    def cancel(self, handles: Sequence[Any]) -> None:
        """Ask these tasks to save and end, wait for them, and disconnect from the scheduler."""


def train_task(job: Job, directory: str, on_cpu: bool) -> Outcome:
    """Train the run in `directory` in a worker process of its own, as one machine alone would.

    A run that fails is retried on the same machine; lost machines are the scheduler's concern.
    `on_cpu` leaves the machine's accelerators unused.

    Raises:
        InputError: the run's files are damaged.
    """
    run, display = read_run(as_path(directory)), _LastOutcome()
    environment = worker_environment() if on_cpu else training_environment()
    pool = WorkerPool(job, 1, display, environment)
    try:
        with stop_request() as stop:
            hand_out([[run]], pool, display, stop.raise_if_requested)
    except Preempted:
        return Outcome(STOPPED, wait=0.0)
    return Outcome(display.text)


class _LastOutcome:
    """A display in a task: logs messages, and keeps the outcome for the command."""

    text = ""

    def advanced(self, run: StoredRun, step: int) -> None:
        """Show nothing."""

    def log(self, text: str) -> None:
        """Print to the task's log."""
        print(text, flush=True)

    def finished(self, run: StoredRun, outcome: str) -> None:
        """Keep the outcome."""
        self.text = outcome
