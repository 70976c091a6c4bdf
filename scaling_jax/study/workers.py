"""Several processes that train the runs of one study together."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scaling_jax.config import RunConfig
from scaling_jax.environment import worker_environment
from scaling_jax.errors import InputError
from scaling_jax.study.packs import Pack
from scaling_jax.study.progress import StudyProgress
from scaling_jax.study.store import StoredRun
from scaling_jax.train import Execution, StopRequest, program_of
from scaling_jax.train.cores import pinned, shares

ATTEMPTS = 2

_POLL_SECONDS = 0.2


def train_in_workers(
    packs: Sequence[Pack],
    n_workers: int,
    execution: Execution,
    cache_dir: os.PathLike | str | None,
    display: StudyProgress,
    stop: StopRequest,
) -> None:
    """Train `packs` in `n_workers` processes, handing each out as a worker comes free.

    A worker that dies is replaced, and each run it had tried once more, by itself, before it
    counts as failed.

    Raises:
        InputError: a run cannot be trained as it stands.
        Preempted: asked to stop; the runs under way are saved.
    """
    task = {
        "execution": asdict(execution),
        "cache_dir": None if cache_dir is None else os.fspath(cache_dir),
    }
    pool = _Pool(packs, shares(n_workers), task, display)
    try:
        while pool.workers:
            pool.handle_next_message()
            stop.heed()
    finally:
        pool.close()


def worker_code() -> str:
    """The program of a worker.

    Like a spawned process of multiprocessing, it imports from where its parent did; unlike one
    it does not import the parent's main module, which so needs no guard.
    """
    return f"import sys; sys.path[:] = {sys.path!r}; import scaling_jax.study.worker as w; w.main()"


class _Worker:
    """A worker process, the runs it has, by name, and what it has compiled."""

    def __init__(self, cores: set[int], inbox: queue.Queue) -> None:
        self.cores = cores
        self.runs: dict[str, StoredRun] = {}
        self.compiled: set[RunConfig] = set()
        with pinned(cores):
            self.process = subprocess.Popen(
                [sys.executable, "-c", worker_code()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=worker_environment(),
                # The terminal's Ctrl-C is for the parent, who tells the workers in its way.
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: queue.Queue) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            inbox.put((self, json.loads(line)))
        inbox.put((self, {"dead": True}))

    def assign(self, pack: Pack, task: dict[str, Any]) -> None:
        self.runs = {run.run_id: run for run in pack}
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
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def cause_of_death(self) -> str:
        status = self.process.wait()
        if status < 0:
            return f"its worker process was ended by {signal.Signals(-status).name}"
        return f"its worker process ended early with status {status}"


class _Pool:
    """Workers, the packs that wait for one, and how often each run has been tried."""

    def __init__(
        self,
        packs: Sequence[Pack],
        shares: Sequence[set[int]],
        task: dict[str, Any],
        display: StudyProgress,
    ) -> None:
        self._waiting, self._task, self._display = list(packs), task, display
        self._tried: dict[str, int] = {}
        self._inbox: queue.Queue[tuple[_Worker, dict[str, Any]]] = queue.Queue()
        self.workers: list[_Worker] = []
        for cores in shares:
            self._start(cores)

    def handle_next_message(self) -> None:
        """Wait a moment for a worker to say something, and act on it."""
        try:
            worker, message = self._inbox.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        if "step" in message:
            self._display.advanced(worker.runs[message["run"]], message["step"])
        elif "over" in message:
            self._display.over(worker.runs.pop(message["run"]), message["over"])
            if not worker.runs:
                self._occupy(worker)
        elif "refused" in message:
            raise InputError(message["refused"])
        elif "dead" in message:
            self._bury(worker)

    def close(self) -> None:
        """Ask every worker to save and exit, and wait until they have."""
        for worker in self.workers:
            worker.dismiss()
        for worker in self.workers:
            worker.process.wait()

    def _start(self, cores: set[int]) -> None:
        if self._waiting:
            worker = _Worker(cores, self._inbox)
            self.workers.append(worker)
            self._occupy(worker)

    def _occupy(self, worker: _Worker) -> None:
        if not self._waiting:
            worker.dismiss()
            return
        pack = next_pack(self._waiting, worker.compiled, len(self.workers))
        self._waiting.remove(pack)
        for run in pack:
            self._tried[run.run_id] = self._tried.get(run.run_id, 0) + 1
        worker.assign(pack, self._task)

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        cause = worker.cause_of_death()
        for run in worker.runs.values():
            if self._tried[run.run_id] < ATTEMPTS:
                self._display.say(f"{run.run_id}: {cause}; trying again")
                self._waiting.append([run])
            else:
                run.fail(cause)
                self._display.over(run, f"failed: {cause}")
        self._start(worker.cores)


def next_pack(waiting: Sequence[Pack], compiled: set[RunConfig], n_workers: int) -> Pack:
    """The pack for a worker that has come free: the most expensive, so that all end together.

    While none is so large that it could hold up the end, one whose program the worker has
    compiled already comes first.
    """

    def cost(pack: Pack) -> float:
        return sum(run.planned.flops for run in pack)

    largest, share = max(waiting, key=cost), sum(map(cost, waiting)) / n_workers
    known = [pack for pack in waiting if program_of(pack[0].planned.config) in compiled]
    return max(known, key=cost) if known and cost(largest) < share / 2 else largest
