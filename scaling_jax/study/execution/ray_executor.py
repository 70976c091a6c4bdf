"""Ray: a task for each run, on a cluster that runs already or on this machine."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling_jax.accounting.hardware import CHIPS, Chip
from scaling_jax.errors import InputError
from scaling_jax.study.execution.attempt import Outcome
from scaling_jax.study.execution.job import Task
from scaling_jax.study.execution.resources import resources
from scaling_jax.study.store.store import StoredRun
from scaling_jax.system.cores import affinity, pinned, usable_cores

_POLL_SECONDS = 0.5
_CLOSE_SECONDS = 60.0
_ACCELERATORS = ("GPU", "TPU")


class RayCluster:
    """Tasks under way on a Ray cluster."""

    def __init__(self, needs: Mapping[str, dict[str, Any]], owned: bool) -> None:
        self._needs, self._owned = needs, owned

    def submit(self, runs: Sequence[StoredRun], task: Task) -> list[Any]:
        """Give Ray a task for each run, with the resources that it needs."""
        import ray

        # The command answers for attempts, so Ray makes none of its own.
        remote = ray.remote(max_retries=0)(_train)
        task = replace(task, on_cpu=_kind() is None)
        return [
            remote.options(name=run.run_id, **self._needs[run.run_id]).remote(
                task, str(run.directory)
            )
            for run in runs
        ]

    def finished(self, handles: Sequence[Any]) -> list[Any]:
        """Tasks that have ended; waits a moment."""
        import ray

        if not handles:
            return []
        return ray.wait(list(handles), num_returns=1, timeout=_POLL_SECONDS)[0]

    def outcome(self, handle: Any) -> Outcome:
        """What the task gave."""
        import ray

        return ray.get(handle)

    def close(self, handles: Sequence[Any]) -> None:
        """Interrupt the tasks, which makes them save; end Ray if it was begun here."""
        import ray

        for handle in handles:
            ray.cancel(handle, force=False)
        if handles:
            ray.wait(list(handles), num_returns=len(handles), timeout=_CLOSE_SECONDS)
        if self._owned:
            ray.shutdown()


def open_cluster(
    options: dict[str, Any], workers: int | None, runs: Sequence[StoredRun], task: Task
) -> RayCluster:
    """Ray at the option `address`, or on this machine with as many CPUs as `workers`.

    `address=auto` is a cluster that this machine belongs to. Other options are those of a Ray
    task, such as `num_cpus`, and take the place of what is worked out from a run's plan.

    Raises:
        InputError: no cluster there, an option that tasks do not have, or a run for which no
            machine of the cluster is large enough.
    """
    import ray

    address = options.pop("address", os.environ.get("RAY_ADDRESS"))
    if address is not None and workers is not None:
        raise InputError(f"workers {workers}: a Ray cluster has its own number; leave it out")
    owned = not ray.is_initialized()
    try:
        if owned and address is None:
            ray.init(num_cpus=workers or usable_cores(), include_dashboard=False)
        elif owned:
            ray.init(address=address)
        needs = {run.run_id: _needs(run, task) | options for run in runs}
        for run in runs:
            _check_room(run, needs[run.run_id])
            ray.remote(_train).options(**needs[run.run_id])
    except (ConnectionError, ValueError, TypeError) as error:
        if owned:
            ray.shutdown()
        if isinstance(error, InputError):
            raise
        raise InputError(f"executor 'ray' cannot be used: {error}") from error
    return RayCluster(needs, owned)


def _needs(run: StoredRun, task: Task) -> dict[str, Any]:
    """Options of the run's task: chips if the cluster has some, else a core, and memory."""
    import ray

    kind = _kind()
    chip = _chip(ray.cluster_resources()) if kind is not None else None
    needed = resources(run.planned.config, task.execution, chip)
    options: dict[str, Any] = {"num_cpus": 1, "memory": needed.memory}
    if kind == "GPU":
        options["num_gpus"] = max(1, needed.chips)
    elif kind is not None:
        options["resources"] = {kind: max(1, needed.chips)}
    return options


def _kind() -> str | None:
    """What accelerators the cluster has, if any."""
    import ray

    there = ray.cluster_resources()
    return next((name for name in _ACCELERATORS if there.get(name)), None)


def _chip(there: Mapping[str, float]) -> Chip | None:
    """The chip of a cluster's accelerators, as far as Ray says and this package knows."""
    names = [
        name.partition(":")[2].lower() for name in there if name.startswith("accelerator_type")
    ]
    return next((CHIPS[name] for name in names if name in CHIPS), None)


def _check_room(run: StoredRun, options: Mapping[str, Any]) -> None:
    import ray

    wanted = {
        "CPU": options.get("num_cpus", 0),
        "GPU": options.get("num_gpus", 0),
        "memory": options.get("memory", 0),
        **options.get("resources", {}),
    }
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(m.get(k, 0) >= n for k, n in wanted.items()) for m in machines):
        asked = ", ".join(f"{k} {n:,.0f}" for k, n in wanted.items() if n)
        raise InputError(
            f"run {run.run_id} needs {asked}, which no machine of the Ray cluster has: add one, or "
            "ask for less with --executor-option, such as memory=1e9"
        )


def _train(task: Task, directory: str) -> Outcome:
    import ray

    n_cores = int(ray.get_runtime_context().get_assigned_resources().get("CPU", 0))
    with _claimed(n_cores) as cores, pinned(cores):
        return task(directory)


@contextmanager
def _claimed(n: int) -> Iterator[set[int]]:
    """Cores of this machine that no other task has, for as long as the block lasts.

    Ray counts cores but does not say which; without this every task would have a thread on each.
    All of them where fewer than `n` are left.
    """
    import filelock

    folder, cores = Path(tempfile.gettempdir()) / "scaling_jax-cores", set[int]()
    folder.mkdir(exist_ok=True)
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
