"""The backend of several worker processes on this machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from queue import Empty, Queue
from typing import Any

from scaling_jax.config import RunConfig, program_of
from scaling_jax.errors import InputError
from scaling_jax.study.execution.attempt import failed, interrupted
from scaling_jax.study.execution.display import Display
from scaling_jax.study.execution.job import Job
from scaling_jax.study.execution.packs import Pack
from scaling_jax.study.execution.run_queue import RunQueue
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.system.cores import pinned, shares
from scaling_jax.system.environment import out_of_memory_kills, worker_environment

_POLL_SECONDS = 0.2
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class WorkerPool:
    """Trains packs in worker processes; one that dies or hangs is replaced, its runs retried."""

    def __init__(
        self,
        job: Job,
        n_workers: int,
        display: Display,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._job, self._display = job, display
        self._environment = environment or worker_environment()
        self._inbox: Queue[tuple[_Worker, dict[str, Any]]] = Queue()
        self._workers: list[_Worker] = []
        self._free_cores = shares(n_workers)

    def start(self, queue: RunQueue) -> None:
        """Give every idle worker a pack, and free cores a new worker each."""
        for worker in self._workers:
            if worker.runs or worker.dismissed:
                continue
            if (pack := queue.next(worker.programs, self._programs())) is not None:
                worker.assign(pack, self._job)
            elif not queue:
                worker.dismiss()
        while self._free_cores and (pack := queue.next(elsewhere=self._programs())) is not None:
            worker = _Worker(self._free_cores.pop(0), self._inbox, self._environment)
            self._workers.append(worker)
            worker.assign(pack, self._job)

    def ended(self) -> Iterator[tuple[StoredRun, Outcome]]:
        """Process the next message of a worker, and kill workers that hang."""
        with contextlib.suppress(Empty):
            worker, message = self._inbox.get(timeout=_POLL_SECONDS)
            yield from self._process(worker, message)
        stall_seconds = self._job.supervision.stall_seconds
        for worker in self._workers:
            if worker.silence() > stall_seconds and worker.killed_for is None:
                worker.kill(f"no progress for {stall_seconds:,.0f} s")

    def close(self) -> None:
        """Ask every worker to save and exit, and wait until they have."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.process.wait()

    def _programs(self) -> set[RunConfig]:
        return {program for worker in self._workers for program in worker.programs}

    def _process(
        self, worker: "_Worker", message: dict[str, Any]
    ) -> Iterator[tuple[StoredRun, Outcome]]:
        worker.heard_at = time.monotonic()
        if "step" in message:
            self._display.advanced(worker.runs[message["run"]], message["step"])
        elif "outcome" in message:
            yield worker.runs.pop(message["run"]), Outcome(*message["outcome"])
        elif "preempted" in message:
            worker.preempted = worker.dismissed = True
        elif "refused" in message:
            raise InputError(message["refused"])
        elif "dead" in message:
            self._workers.remove(worker)
            self._free_cores.append(worker.cores)
            for run in worker.runs.values():
                yield run, self._outcome_of_death(run, worker)

    def _outcome_of_death(self, run: StoredRun, worker: "_Worker") -> Outcome:
        if worker.preempted:
            return Outcome("its worker process was asked to stop; retried", wait=0.0)
        record = interrupted if worker.was_killed_from_outside() else failed
        return record(run, worker.cause_of_death(), self._job.supervision)


def worker_code() -> str:
    """The program of a worker.

    Like a spawned process of multiprocessing, it imports from where its parent did; unlike one
    it does not import the parent's main module, which therefore needs no guard.
    """
    module = "scaling_jax.study.execution.worker_process"
    return f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main()"


class _Worker:
    """A worker process, the runs it trains, by their ids, and the programs it has compiled."""

    def __init__(self, cores: set[int], inbox: Queue, environment: dict[str, str]) -> None:
        self.cores = cores
        self.heard_at = time.monotonic()
        self.killed_for: str | None = None
        self._memory_kills = out_of_memory_kills()
        self.dismissed = self.preempted = False
        self.runs: dict[str, StoredRun] = {}
        self.programs: set[RunConfig] = set()
        with pinned(cores):
            self.process = subprocess.Popen(
                [sys.executable, "-c", worker_code()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                # The terminal's Ctrl-C is for the parent, which dismisses the workers.
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: Queue) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # A kill may cut the last line short.
            with contextlib.suppress(json.JSONDecodeError):
                inbox.put((self, json.loads(line)))
        inbox.put((self, {"dead": True}))

    def assign(self, pack: Pack, job: Job) -> None:
        """Send the worker a pack to train."""
        self.runs = {run.run_id: run for run in pack}
        self.heard_at = time.monotonic()
        self.programs.add(program_of(pack[0].planned.config))
        directories = [os.fspath(run.directory) for run in pack]
        assert self.process.stdin is not None
        # Once the process has died, the end of its output is the message.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(
                json.dumps({"directories": directories, "job": asdict(job)}) + "\n"
            )
            self.process.stdin.flush()

    def dismiss(self) -> None:
        """Ask the worker to save and exit."""
        self.dismissed = True
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def silence(self) -> float:
        """Seconds since the last message about the worker's runs; 0 if it has none."""
        return time.monotonic() - self.heard_at if self.runs else 0.0

    def kill(self, cause: str) -> None:
        """End the worker at once, for `cause`."""
        self.killed_for = cause
        self.process.kill()

    def was_killed_from_outside(self) -> bool:
        """Whether neither the run, nor this process, nor a lack of memory ended the process.

        A fault of the process itself, such as SIGSEGV, is a crash of the run.
        """
        outside = -self.process.wait() in _FROM_OUTSIDE
        return outside and self.killed_for is None and not self._memory_ran_out()

    def _memory_ran_out(self) -> bool:
        by_kill = self.process.wait() == -signal.SIGKILL
        return by_kill and out_of_memory_kills() > self._memory_kills

    def cause_of_death(self) -> str:
        """Why the process ended, for the history of its runs."""
        status = self.process.wait()
        if self.killed_for is not None:
            return self.killed_for
        if status < 0:
            name = signal.Signals(-status).name
            hint = ", as memory ran out on this machine" if self._memory_ran_out() else ""
            return f"its worker process was ended by {name}{hint}"
        return f"its worker process ended early with status {status}"
