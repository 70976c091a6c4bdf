"""One run of a store as a task that a cluster's scheduler places."""

from dataclasses import dataclass

from etils import epath

from scaling_jax.study.execution.attempt import Outcome
from scaling_jax.study.execution.worker_pool import train_in_workers
from scaling_jax.study.store.retry_policy import Supervision
from scaling_jax.study.store.store import StoredRun, read_run
from scaling_jax.system.environment import training_environment, worker_environment
from scaling_jax.system.preemption import Preempted, stop_request
from scaling_jax.train import Execution

STOPPED = "its task was asked to stop; going on"


@dataclass(frozen=True)
class Task:
    """Trains a run in a worker process of its own, as one machine alone would.

    A run that fails is so tried again where it is; the scheduler deals with machines.

    Attributes:
        execution: how the run is computed.
        supervision: what is done if it fails or hangs.
        cache_dir: of tokens, on the machine that trains.
        on_cpu: whether the machine's accelerators, if any, are left alone.
    """

    execution: Execution
    supervision: Supervision
    cache_dir: str | None = None
    on_cpu: bool = True

    def __call__(self, directory: str) -> Outcome:
        """Train the run in `directory` and say in a few words how that went.

        Raises:
            InputError: the run's files are damaged.
        """
        run, heard = read_run(epath.Path(directory)), _Heard()
        environment = worker_environment() if self.on_cpu else training_environment()
        try:
            with stop_request() as stop:
                train_in_workers(
                    [[run]],
                    1,
                    self.execution,
                    self.cache_dir,
                    heard,
                    stop,
                    self.supervision,
                    environment,
                )
        except Preempted:
            return Outcome(STOPPED, wait=0.0)
        return Outcome(heard.last)


@dataclass
class _Heard:
    """Keeps what a display would show last."""

    last: str = ""

    def advanced(self, run: StoredRun, step: int) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Put it in the task's log."""
        print(text, flush=True)

    def over(self, run: StoredRun, outcome: str) -> None:
        """Keep the outcome."""
        self.last = outcome
