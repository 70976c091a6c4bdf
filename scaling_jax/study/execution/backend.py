"""The loop that hands out the runs of a study, and what it needs of whoever trains them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from scaling_jax.study.execution.display import Display
from scaling_jax.study.execution.packs import Pack
from scaling_jax.study.execution.run_queue import RunQueue
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.stored_run import StoredRun


class Backend(Protocol):
    """Trains packs: in this process, in worker processes, or as tasks of a cluster."""

    def start(self, queue: RunQueue) -> None:
        """Take as many packs from `queue` as there is room for."""

    def ended(self) -> Iterable[tuple[StoredRun, Outcome]]:
        """Runs whose attempt has ended since the last call; waits a moment for the next one.

        Raises:
            InputError: the files of a run are damaged.
            Preempted: this process was asked to stop; the runs under way are saved.
        """

    def close(self) -> None:
        """Let the runs under way be saved, and end every process that was started."""


def hand_out(
    packs: Sequence[Pack], backend: Backend, display: Display, check_stop: Callable[[], None]
) -> None:
    """Train `packs` on `backend`; a run whose attempt failed is retried by itself.

    `check_stop` is called between attempts and raises `Preempted` once the command has to stop.
    """
    queue = RunQueue(packs)
    try:
        while queue or queue.under_way:
            check_stop()
            backend.start(queue)
            for run, outcome in backend.ended():
                if outcome.wait is None:
                    queue.finish(run)
                    display.finished(run, outcome.text)
                else:
                    queue.put_back([run], outcome.wait)
                    display.log(f"{run.run_id}: {outcome.text}")
    finally:
        backend.close()
