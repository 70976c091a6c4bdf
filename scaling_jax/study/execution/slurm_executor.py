"""Slurm, through submitit: a job array of the runs, each requeued when it is preempted."""

import math
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.study.execution.attempt import Outcome
from scaling_jax.study.execution.job import Task
from scaling_jax.study.execution.resources import resources
from scaling_jax.study.store.store import StoredRun
from scaling_jax.system.files import in_bucket

_TIMEOUT_MINUTES = 60
_POLL_SECONDS = 0.5
_LOOK_SECONDS = 30.0
_CLOSE_SECONDS = 60.0
# Runs are bounded by their attempts, not by how often their time was up.
_REQUEUES = 1000


class SlurmTask:
    """A task that may be requeued: it begins again from what its worker saved at the signal."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __call__(self, directory: str) -> Outcome:
        """Train the run in `directory`."""
        return self._task(directory)

    def checkpoint(self, directory: str) -> Any:
        """What to submit again; by leaving the process the worker is told to save."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, directory)


class SlurmCluster:
    """Job arrays under way."""

    def __init__(self, executor: Any, on_cpu: bool) -> None:
        self._executor, self._on_cpu = executor, on_cpu
        self._missed = Counter[str]()
        self._looked_at = time.monotonic()

    def submit(self, runs: Sequence[StoredRun], task: Task) -> list[Any]:
        """Submit an array with a job for each run."""
        directories = [str(run.directory) for run in runs]
        job = SlurmTask(replace(task, on_cpu=self._on_cpu))
        return list(self._executor.map_array(job, directories))

    def finished(self, handles: Sequence[Any]) -> list[Any]:
        """Jobs that have ended; waits a moment."""
        time.sleep(_POLL_SECONDS)
        under_way = [job for job in handles if not job.done()]
        if time.monotonic() > self._looked_at + _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look(under_way)
        return [job for job in handles if job not in under_way or self._is_lost(job)]

    def outcome(self, handle: Any) -> Outcome:
        """What the job gave.

        Raises:
            Exception: it was lost.
        """
        if self._is_lost(handle) and not handle.done():
            raise RuntimeError(f"Slurm no longer has job {handle.job_id}, which left no result")
        return handle.result()

    def _look(self, jobs: Sequence[Any]) -> None:
        """Take note of jobs that Slurm no longer has; submitit asks accounting, if there is any."""
        if not jobs or shutil.which("squeue") is None:
            return
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
        asked = subprocess.run(command, capture_output=True, text=True)
        if asked.returncode == 0:
            there = set(asked.stdout.split())
            self._missed.update(job.job_id for job in jobs if job.job_id not in there)

    def _is_lost(self, job: Any) -> bool:
        # Its result may be slow to appear on a shared disk.
        return self._missed[job.job_id] > 1

    def close(self, handles: Sequence[Any]) -> None:
        """Cancel the jobs, which makes them save, and wait until they have ended."""
        for job in handles:
            job.cancel()
        until = time.monotonic() + _CLOSE_SECONDS
        while time.monotonic() < until and not all(job.done() for job in handles):
            time.sleep(_POLL_SECONDS)


def open_cluster(
    options: dict[str, Any], workers: int | None, runs: Sequence[StoredRun], task: Task
) -> SlurmCluster:
    """Slurm, with `options` as submitit's `AutoExecutor` takes them.

    Beside these, `cluster` (`local` runs the jobs on this machine) and `folder` for the logs, by
    default `slurm` beside the study's runs.

    Raises:
        InputError: no Slurm here, or an option that submitit does not have.
    """
    import submitit

    folder = options.pop("folder", None) or runs[0].directory.parent.parent / "slurm"
    if in_bucket(folder):
        raise InputError(
            f"executor 'slurm' keeps its logs in files, not in {folder}: name a shared directory, "
            "--executor-option folder=DIR"
        )
    memory = max(resources(run.planned.config, task.execution).memory for run in runs)
    chosen = {
        "name": "scaling_jax",
        "timeout_min": _TIMEOUT_MINUTES,
        "cpus_per_task": 1,
        "mem_gb": math.ceil(memory / 2**30),
        "slurm_array_parallelism": workers,
    }
    try:
        executor = submitit.AutoExecutor(
            folder=str(folder),
            cluster=options.pop("cluster", "slurm"),
            slurm_max_num_timeout=_REQUEUES,
        )
        executor.update_parameters(**chosen | options)
    except (RuntimeError, NameError, AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"executor 'slurm' cannot be used: {reason}") from error
    return SlurmCluster(executor, on_cpu=not any("gpu" in o or "gres" in o for o in options))
