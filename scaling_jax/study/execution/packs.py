"""Packs: runs of one program that train side by side in it."""

from collections.abc import Sequence

import jax

from scaling_jax.accounting.flops import training_flops
from scaling_jax.accounting.memory import Spread, training_memory
from scaling_jax.config import RunConfig, program_of
from scaling_jax.mesh_spec import CHOSEN
from scaling_jax.study.execution.job import Job
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.system.cores import usable_cores
from scaling_jax.train.mesh import device_memory

# A device is kept busy by steps of about ten milliseconds at 1e14 FLOP/s; with more models side by
# side, all of them only end later.
_BUSY_FLOPS = 1e12
_MEMORY_SHARE = 0.5
_MAX_PER_DEVICE = 16

Pack = list[StoredRun]


def n_workers(job: Job, n_packs: int) -> int:
    """How many processes of this machine train; with 1 it is the process that was started."""
    one_per_core = jax.default_backend() == "cpu" and jax.process_count() == 1
    return min(job.workers or (usable_cores() if one_per_core else 1), n_packs)


def pack_runs(runs: Sequence[StoredRun], job: Job) -> list[Pack]:
    """Group `runs`, in their order, into packs of at most `job.pack`, or of what suits the devices.

    The size of a pack is such that the devices can be shared out evenly.
    """
    n_devices = job.execution.mesh.replica
    if job.execution.mesh == CHOSEN and jax.default_backend() != "cpu":
        n_devices = jax.device_count()
    groups: dict[tuple[RunConfig, bool], Pack] = {}
    for run in runs:
        # A trunk and its branches cannot train side by side.
        is_branch = run.planned.branch is not None
        groups.setdefault((program_of(run.planned.config), is_branch), []).append(run)
    position = {run.run_id: i for i, run in enumerate(runs)}
    packs = []
    for (config, _), group in groups.items():
        while group:
            most = min(job.pack or _suitable_size(config), len(group))
            size = _even_size(most, n_devices)
            packs.append(group[:size])
            group = group[size:]
    return sorted(packs, key=lambda pack: position[pack[0].run_id])


def _even_size(most: int, n_devices: int) -> int:
    if most >= n_devices:
        return most // n_devices * n_devices
    return max(size for size in range(1, most + 1) if n_devices % size == 0)


def _suitable_size(config: RunConfig) -> int:
    """How many models side by side keep the devices busy and fit; on a CPU it is one.

    On a CPU the products of several models are no faster together; one process per core is.
    """
    memory = device_memory(jax.devices()[0])
    # Side by side, runs with a batch ramp would compute both kinds of steps throughout.
    if memory is None or config.batch_ramp is not None:
        return 1
    step_flops = training_flops(config.shape, config.tokens_per_step, "exact")
    needed = training_memory(
        config.shape,
        Spread(config.batch_size),
        precision=config.precision,
        optimizer=config.optimizer.name,
        average=config.optimizer.averages,
    )
    n_fitting = int(_MEMORY_SHARE * memory / needed.total)
    per_device = min(int(_BUSY_FLOPS / step_flops), n_fitting, _MAX_PER_DEVICE)
    return max(1, per_device * jax.device_count())
