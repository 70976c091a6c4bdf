"""The backend that trains in the process that was started, alone or joined with others."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

from scaling_jax.config import RunConfig, program_of
from scaling_jax.study.execution.attempt import attempt_pack
from scaling_jax.study.execution.display import Display
from scaling_jax.study.execution.job import Job
from scaling_jax.study.execution.packs import Pack
from scaling_jax.study.execution.run_queue import RunQueue
from scaling_jax.study.execution.watchdog import STALLED_EXIT, ending_if_stalled
from scaling_jax.study.store.crash_log import note_crash
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.system.agreement import from_first, is_first

_POLL_SECONDS = 0.2


class ThisProcess:
    """Trains one pack after the other; processes that train together all take the same one."""

    def __init__(self, job: Job, display: Display) -> None:
        self._job, self._display = job, display
        self._pack: Pack | None = None
        self._programs = set[RunConfig]()
        self._watchdog = ExitStack()
        stall_seconds = job.supervision.stall_seconds
        self._alive = self._watchdog.enter_context(ending_if_stalled(stall_seconds, self._end))

    def _end(self) -> None:
        """End this process, which hangs; the next one counts an attempt of each run under way."""
        if is_first():
            for run in self._pack or []:
                note_crash(run.directory, "no progress, and it ended itself")
        os._exit(STALLED_EXIT)

    def start(self, queue: RunQueue) -> None:
        """Take the next pack, as the first process chooses it."""
        self._alive()
        pack = queue.next(self._programs) if is_first() else None
        run_ids = from_first(lambda: [run.run_id for run in pack] if pack else None)
        self._pack = pack if is_first() or run_ids is None else queue.take(run_ids)

    def ended(self) -> Iterator[tuple[StoredRun, Outcome]]:
        """Train the pack."""
        if self._pack is None:
            time.sleep(_POLL_SECONDS)
            return
        self._programs.add(program_of(self._pack[0].planned.config))
        for run, outcome in attempt_pack(self._pack, self._job, self._report):
            self._alive()
            yield run, outcome

    def close(self) -> None:
        """End the watchdog."""
        self._watchdog.close()

    def _report(self, run: StoredRun, step: int, loss: float, tokens_per_second: float) -> None:
        self._alive()
        self._display.advanced(run, step)
