"""Slurm, through submitit: a job array of the runs, each requeued when it is preempted."""

import math
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.study.execution.clusters import (
    CLOSE_SECONDS,
    POLL_SECONDS,
    ClusterBackend,
    train_task,
)
from scaling_jax.study.execution.job import Job
from scaling_jax.study.execution.resources import resources
from scaling_jax.study.store.lifecycle import Outcome
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.system.buckets import in_bucket

_TIMEOUT_MINUTES = 60
_SQUEUE_SECONDS = 30.0
_TAKEN_AWAY = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED")
# Runs are bounded by their attempts, not by how often their time was up.
_REQUEUES = 1000


class SlurmTask:
    """A task that may be requeued: it continues from what its worker saved at the signal."""

    def __init__(self, job: Job, on_cpu: bool) -> None:
        self._job, self._on_cpu = job, on_cpu

    def __call__(self, directory: str) -> Outcome:
        """Train the run in `directory`."""
        return train_task(self._job, directory, self._on_cpu)

    def checkpoint(self, directory: str) -> Any:
        """What submitit submits again; the worker saves because this process exits."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, directory)


class SlurmBackend(ClusterBackend):
    """Trains runs as Slurm jobs."""

    def __init__(self, job: Job, executor: Any, on_cpu: bool) -> None:
        super().__init__(job)
        self._executor, self._on_cpu = executor, on_cpu
        self._times_missing = Counter[str]()
        self._checked_at = time.monotonic()

    def submit(self, runs: Sequence[StoredRun]) -> list[Any]:
        """Submit an array with a job for each run."""
        directories = [str(run.directory) for run in runs]
        return list(self._executor.map_array(SlurmTask(self.job, self._on_cpu), directories))

    def finished(self, handles: Sequence[Any]) -> list[Any]:
        """Slurm jobs that have ended; waits a moment."""
        time.sleep(POLL_SECONDS)
        under_way = [handle for handle in handles if not handle.done()]
        if time.monotonic() > self._checked_at + _SQUEUE_SECONDS:
            self._checked_at = time.monotonic()
            self._count_missing(under_way)
        return [handle for handle in handles if handle not in under_way or self._is_lost(handle)]

    def outcome(self, handle: Any) -> Outcome:
        """The outcome that the Slurm job returned (`RuntimeError` if it left none)."""
        if self._is_lost(handle) and not handle.done():
            raise RuntimeError(f"Slurm no longer has job {handle.job_id}, which left no result")
        return handle.result()

    def is_lost_machine(self, handle: Any, error: Exception) -> bool:
        """Whether Slurm took the job's machine away, or lost it."""
        return str(handle.state).partition(" ")[0] in _TAKEN_AWAY

    def cancel(self, handles: Sequence[Any]) -> None:
        """Cancel the Slurm jobs, which makes them save, and wait until they have ended."""
        for handle in handles:
            handle.cancel()
        until = time.monotonic() + CLOSE_SECONDS
        while time.monotonic() < until and not all(handle.done() for handle in handles):
            time.sleep(POLL_SECONDS)

    def _count_missing(self, handles: Sequence[Any]) -> None:
        """Count how often a job was not in Slurm's queue; submitit itself only reads accounting."""
        if not handles or shutil.which("squeue") is None:
            return
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
        listing = subprocess.run(command, capture_output=True, text=True)
        if listing.returncode == 0:
            queued = set(listing.stdout.split())
            self._times_missing.update(h.job_id for h in handles if h.job_id not in queued)

    def _is_lost(self, handle: Any) -> bool:
        # Its result may be slow to appear on a shared disk.
        return self._times_missing[handle.job_id] > 1


def open_backend(job: Job, runs: Sequence[StoredRun]) -> SlurmBackend:
    """Slurm, with the job's options as submitit's `AutoExecutor` takes them.

    Two further options are `cluster` (`local` runs the Slurm jobs on this machine) and `folder`
    for the logs, by default `slurm` beside the study's runs.

    Raises:
        InputError: no Slurm here, or an option that submitit does not have.
    """
    import submitit

    options = dict(job.executor_options)
    folder = options.pop("folder", None) or runs[0].directory.parent.parent / "slurm"
    if in_bucket(folder):
        raise InputError(
            f"executor 'slurm' keeps its logs in files, not in {folder}: name a shared directory, "
            "--executor-option folder=DIR"
        )
    memory = max(
        resources(run.planned.config, job.execution, token_bytes=job.token_bytes).memory
        for run in runs
    )
    defaults = {
        "name": "scaling_jax",
        "timeout_min": _TIMEOUT_MINUTES,
        "cpus_per_task": 1,
        "mem_gb": math.ceil(memory / 2**30),
        "slurm_array_parallelism": job.workers,
    }
    try:
        executor = submitit.AutoExecutor(
            folder=str(folder),
            cluster=options.pop("cluster", "slurm"),
            slurm_max_num_timeout=_REQUEUES,
        )
        executor.update_parameters(**defaults | options)
    except (RuntimeError, NameError, AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"executor 'slurm' cannot be used: {reason}") from error
    return SlurmBackend(job, executor, on_cpu=not any("gpu" in o or "gres" in o for o in options))
