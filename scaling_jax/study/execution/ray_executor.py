"""Ray: a task for each run, on a cluster that runs already or on this machine."""

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from scaling_jax.accounting.hardware import CHIPS, Chip
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
from scaling_jax.system.cores import affinity, pinned, usable_cores

_ACCELERATORS = ("GPU", "TPU")


class RayBackend(ClusterBackend):
    """Trains runs as tasks of a Ray cluster."""

    def __init__(self, job: Job, requests: Mapping[str, dict[str, Any]], owned: bool) -> None:
        super().__init__(job)
        self._requests, self._owned = requests, owned

    def submit(self, runs: Sequence[StoredRun]) -> list[Any]:
        """Give Ray a task for each run, with the resources that the run needs."""
        import ray

        # The command counts and retries attempts, so Ray retries none.
        remote, on_cpu = ray.remote(max_retries=0)(_train), _accelerator() is None
        return [
            remote.options(name=run.run_id, **self._requests[run.run_id]).remote(
                self.job, str(run.directory), on_cpu
            )
            for run in runs
        ]

    def finished(self, handles: Sequence[Any]) -> list[Any]:
        """Tasks that have ended; waits a moment."""
        import ray

        return ray.wait(list(handles), num_returns=1, timeout=POLL_SECONDS)[0]

    def outcome(self, handle: Any) -> Outcome:
        """The outcome that the task returned."""
        import ray

        return ray.get(handle)

    def is_lost_machine(self, handle: Any, error: Exception) -> bool:
        """Whether Ray lost the machine of the task, or the process that it ran the task in."""
        from ray import exceptions

        # A run trains in a process of its own, below the one that Ray lost.
        lost = (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.LocalRayletDiedError,
        )
        return isinstance(error, lost)

    def cancel(self, handles: Sequence[Any]) -> None:
        """Interrupt the tasks, which makes them save; end Ray if this process started it."""
        import ray

        for handle in handles:
            ray.cancel(handle, force=False)
        if handles:
            ray.wait(list(handles), num_returns=len(handles), timeout=CLOSE_SECONDS)
        if self._owned:
            ray.shutdown()


def open_backend(job: Job, runs: Sequence[StoredRun]) -> RayBackend:
    """Ray at the option `address`, or on this machine with as many CPUs as `job.workers`.

    `address=auto` is a cluster that this machine belongs to. Other options are those of a Ray
    task, such as `num_cpus`, and replace what is worked out from a run's plan.

    Raises:
        InputError: no cluster at the address, an option that tasks do not have, or a run for which
            no machine of the cluster is large enough.
    """
    import ray

    options = dict(job.executor_options)
    address = options.pop("address", os.environ.get("RAY_ADDRESS"))
    if address is not None and job.workers is not None:
        raise InputError(f"workers {job.workers}: a Ray cluster has its own number; leave it out")
    owned = not ray.is_initialized()
    try:
        if owned and address is None:
            ray.init(num_cpus=job.workers or usable_cores(), include_dashboard=False)
        elif owned:
            ray.init(address=address)
        requests = {run.run_id: _request(run, job) | options for run in runs}
        for run in runs:
            _check_room(run, requests[run.run_id])
            ray.remote(_train).options(**requests[run.run_id])
    except (ConnectionError, ValueError, TypeError) as error:
        if owned:
            ray.shutdown()
        if isinstance(error, InputError):
            raise
        raise InputError(f"executor 'ray' cannot be used: {error}") from error
    return RayBackend(job, requests, owned)


def _request(run: StoredRun, job: Job) -> dict[str, Any]:
    """Options of the run's task: memory, and chips if the cluster has some, else a core."""
    import ray

    accelerator = _accelerator()
    chip = _chip(ray.cluster_resources()) if accelerator is not None else None
    needed = resources(run.planned.config, job.execution, chip, job.token_bytes)
    options: dict[str, Any] = {"num_cpus": 1, "memory": needed.memory}
    if accelerator == "GPU":
        options["num_gpus"] = max(1, needed.chips)
    elif accelerator is not None:
        options["resources"] = {accelerator: max(1, needed.chips)}
    return options


def _accelerator() -> str | None:
    """The kind of accelerator that the cluster has, if any."""
    import ray

    available = ray.cluster_resources()
    return next((name for name in _ACCELERATORS if available.get(name)), None)


def _chip(available: Mapping[str, float]) -> Chip | None:
    """The chip of a cluster's accelerators, if Ray names it and this package knows it."""
    names = [
        name.partition(":")[2].lower() for name in available if name.startswith("accelerator_type")
    ]
    return next((CHIPS[name] for name in names if name in CHIPS), None)


def _check_room(run: StoredRun, options: Mapping[str, Any]) -> None:
    import ray

    needed = {
        "CPU": options.get("num_cpus", 0),
        "GPU": options.get("num_gpus", 0),
        "memory": options.get("memory", 0),
        **options.get("resources", {}),
    }
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(m.get(k, 0) >= n for k, n in needed.items()) for m in machines):
        listed = ", ".join(f"{k} {n:,.0f}" for k, n in needed.items() if n)
        raise InputError(
            f"run {run.run_id} needs {listed}, which no machine of the Ray cluster has: add one, "
            "or request less with --executor-option, such as memory=1e9"
        )


def _lock_folder() -> Path:
    """A folder of this user's alone, with a lock for each core.

    The temporary directory is open to every user of the machine, so a folder or a link that
    somebody else has put there is refused.
    """
    folder = Path(tempfile.gettempdir()) / f"scaling_jax-cores-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise InputError(f"{folder} is not a directory of this user: remove it")
    folder.chmod(0o700)
    return folder


def _train(job: Job, directory: str, on_cpu: bool) -> Outcome:
    import ray

    n_cores = int(ray.get_runtime_context().get_assigned_resources().get("CPU", 0))
    with _claimed(n_cores) as cores, pinned(cores):
        return train_task(job, directory, on_cpu)


@contextmanager
def _claimed(n: int) -> Iterator[set[int]]:
    """Cores of this machine that no other task uses while the block lasts.

    Ray counts cores but does not choose them; without this, every task would run a thread on each
    core. Empty, which pins to none, where fewer than `n` cores are left.
    """
    import filelock

    folder, cores = _lock_folder(), set[int]()
    with ExitStack() as stack:
        for core in affinity():
            if len(cores) == n:
                break
            lock = filelock.FileLock(folder / str(core))
            try:
                stack.enter_context(lock.acquire(timeout=0))
            except filelock.Timeout:
                continue
            cores.add(core)
        yield cores if len(cores) == n else set()
