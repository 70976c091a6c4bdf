"""Several processes that train the runs of one study together."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.study.execution.attempt import Outcome, failed
from scaling_jax.study.execution.packs import Pack
from scaling_jax.study.execution.progress import Display
from scaling_jax.study.execution.run_queue import Waiting
from scaling_jax.study.store.retry_policy import USUAL, Supervision
from scaling_jax.study.store.store import StoredRun
from scaling_jax.system.cores import pinned, shares
from scaling_jax.system.environment import worker_environment
from scaling_jax.system.preemption import StopRequest
from scaling_jax.train import Execution, program_of

_POLL_SECONDS = 0.2


def train_in_workers(
    packs: Sequence[Pack],
    n_workers: int,
    execution: Execution,
    cache_dir: os.PathLike | str | None,
    display: Display,
    stop: StopRequest,
    supervision: Supervision = USUAL,
    environment: dict[str, str] | None = None,
) -> None:
    """Train `packs` in `n_workers` processes, handing each out as a worker comes free.

    A worker that dies or hangs is replaced, and each run it had tried again, by itself.
    `environment` is that of the workers, by default one for the CPU.

    Raises:
        InputError: the files of a run are damaged.
        Preempted: asked to stop; the runs under way are saved.
    """
    task = {
        "execution": asdict(execution),
        "cache_dir": None if cache_dir is None else os.fspath(cache_dir),
        "supervision": asdict(supervision),
    }
    pool = _Pool(packs, n_workers, task, display, supervision, environment or worker_environment())
    try:
        while pool.tend():
            stop.raise_if_requested()
    finally:
        pool.close()


def worker_code() -> str:
    """The program of a worker.

    Like a spawned process of multiprocessing, it imports from where its parent did; unlike one
    it does not import the parent's main module, which so needs no guard.
    """
    module = "scaling_jax.study.execution.worker_process"
    return f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main()"


class _Worker:
    """A worker process, the runs it has, by name, and what it has compiled."""

    def __init__(self, cores: set[int], inbox: queue.Queue, environment: dict[str, str]) -> None:
        self.cores = cores
        self.heard_at = time.monotonic()
        self.verdict: str | None = None
        self.dismissed = self.preempted = False
        self.runs: dict[str, StoredRun] = {}
        self.compiled: set[RunConfig] = set()
        with pinned(cores):
            self.process = subprocess.Popen(
                [sys.executable, "-c", worker_code()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                # The terminal's Ctrl-C is for the parent, who tells the workers in its way.
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: queue.Queue) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # A kill may cut the last line short.
            with contextlib.suppress(json.JSONDecodeError):
                inbox.put((self, json.loads(line)))
        inbox.put((self, {"dead": True}))

    def assign(self, pack: Pack, task: dict[str, Any]) -> None:
        self.runs = {run.run_id: run for run in pack}
        self.heard_at = time.monotonic()
        self.compiled.add(program_of(pack[0].planned.config))
        assignment = {"directories": [os.fspath(run.directory) for run in pack], **task}
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(assignment) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has died, which its end of output will tell.

    def dismiss(self) -> None:
        """Ask it to save and exit."""
        self.dismissed = True
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def silence(self) -> float:
        """Seconds since it last said something of the runs it has; 0 if it has none."""
        return time.monotonic() - self.heard_at if self.runs else 0.0

    def kill(self, verdict: str) -> None:
        """End it at once; its death is then put down to `verdict`."""
        self.verdict = verdict
        self.process.kill()

    def cause_of_death(self) -> str:
        status = self.process.wait()
        if self.verdict is not None:
            return self.verdict
        if status < 0:
            name = signal.Signals(-status).name
            hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
            return f"its worker process was ended by {name}{hint}"
        return f"its worker process ended early with status {status}"


class _Pool:
    """Workers, and the packs that wait for one."""

    def __init__(
        self,
        packs: Sequence[Pack],
        n_workers: int,
        task: dict[str, Any],
        display: Display,
        supervision: Supervision,
        environment: dict[str, str],
    ) -> None:
        self._waiting, self._task, self._display = Waiting(packs), task, display
        self._supervision, self._environment = supervision, environment
        self._inbox: queue.Queue[tuple[_Worker, dict[str, Any]]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._free_cores = shares(n_workers)

    def tend(self) -> bool:
        """Hand out what is due, then wait a moment for news; False once nothing is left to do.

        Raises:
            InputError: the files of a run are damaged.
        """
        self._hand_out()
        if not self._workers and not self._waiting:
            return False
        try:
            worker, message = self._inbox.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            pass
        else:
            self._heed(worker, message)
        for worker in self._workers:
            if worker.silence() > self._supervision.stall_seconds and worker.verdict is None:
                worker.kill(f"no progress for {self._supervision.stall_seconds:,.0f} s")
        return True

    def close(self) -> None:
        """Ask every worker to save and exit, and wait until they have."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.process.wait()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.runs or worker.dismissed:
                continue
            if (pack := self._next(worker.compiled)) is not None:
                worker.assign(pack, self._task)
            elif not self._waiting:
                worker.dismiss()
        while self._free_cores and (pack := self._next(set())) is not None:
            worker = _Worker(self._free_cores.pop(0), self._inbox, self._environment)
            self._workers.append(worker)
            worker.assign(pack, self._task)

    def _next(self, compiled: set[RunConfig]) -> Pack | None:
        under_way = [run for worker in self._workers for run in worker.runs]
        elsewhere = {program for worker in self._workers for program in worker.compiled}
        return self._waiting.next(compiled, under_way, elsewhere)

    def _heed(self, worker: _Worker, message: dict[str, Any]) -> None:
        worker.heard_at = time.monotonic()
        if "step" in message:
            self._display.advanced(worker.runs[message["run"]], message["step"])
        elif "over" in message:
            run = worker.runs.pop(message["run"])
            self._say(run, message["over"], message.get("wait"))
        elif "preempted" in message:
            worker.preempted = worker.dismissed = True
        elif "refused" in message:
            raise InputError(message["refused"])
        elif "dead" in message:
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._free_cores.append(worker.cores)
        cause = worker.cause_of_death()
        for run in worker.runs.values():
            if worker.preempted:
                outcome = Outcome("its worker process was asked to stop; going on", wait=0.0)
            else:
                outcome = failed(run, cause, self._supervision)
            self._say(run, outcome.text, outcome.wait)

    def _say(self, run: StoredRun, outcome: str, wait: float | None) -> None:
        if wait is None:
            self._display.over(run, outcome)
        else:
            self._display.say(f"{run.run_id}: {outcome}")
            self._waiting.put_back([run], wait)
