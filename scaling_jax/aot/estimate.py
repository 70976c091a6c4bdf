"""What a run would need of some chips, estimated in no time, and what would make it fit."""

import dataclasses
from collections.abc import Iterator
from typing import get_args

from scaling_jax.accounting.hardware import Chip
from scaling_jax.accounting.memory import Memory, Spread, training_memory
from scaling_jax.aot.topology import Topology
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution, Remat
from scaling_jax.mesh_spec import MeshSpec, check_fit

# What estimates have been found too low by, and then some: see docs/compile.md.
MARGIN = 1.2

# The chips of a host are four or eight.
_TENSOR_SIZES = (2, 4, 8)

# By how much they recompute.
_POLICIES: tuple[Remat, ...] = get_args(Remat)
_KERNELS = ("splash", "cudnn", "tokamax")


def estimated_memory(
    config: RunConfig, execution: Execution, chip: Chip, n_chips: int = 1
) -> Memory:
    """Bytes on each device of `n_chips`, computed as `execution` says or would choose.

    Raises:
        InputError: the run does not divide over the chips, or a choice does not suit them.
    """
    n_devices = n_chips * chip.jax_devices
    own = None if chip.platform == "cpu" else chip.memory_bytes // chip.jax_devices
    sizes = execution.mesh.chosen_for(config.shape, n_devices, own).over(n_devices)
    check_fit(sizes, config.shape, config.batch_size, execution.accumulate)
    resolved = execution.resolved(config, chip.platform, n_devices, sizes["fsdp"] > 1)
    spread = Spread(
        sequences=config.batch_size // (sizes["data"] * sizes["fsdp"] * execution.accumulate),
        microbatches=execution.accumulate,
        state=sizes["fsdp"] * sizes["tensor"],
        tensor=sizes["tensor"],
        loss_chunks=resolved.loss_chunks or 1,
    )
    return training_memory(
        config.shape,
        spread,
        precision=config.precision,
        optimizer=config.optimizer.name,
        remat=execution.remat,
        kernel=resolved.attention in _KERNELS,
    )


def what_would_fit(config: RunConfig, execution: Execution, topology: Topology) -> list[str]:
    """Options with which the run is estimated to fit: on the same chips, and on more of them.

    More chips are to be enough without tensor parallelism that was not asked for.
    """
    here = options_that_fit(config, execution, topology.chip, topology.n_chips)
    found = [here] if here else []
    for larger in topology.larger():
        there = options_that_fit(config, execution, larger.chip, larger.n_chips, ())
        if there is not None:
            found.append(f"--topology {larger.name} {there}".rstrip())
            break
    return found


def options_that_fit(
    config: RunConfig,
    execution: Execution,
    chip: Chip,
    n_chips: int,
    tensor_sizes: tuple[int, ...] = _TENSOR_SIZES,
) -> str | None:
    """What to change on the command line so that the run is estimated to fit; None if nothing is.

    The least recomputation that is enough, then the fewest microbatches, then tensor parallelism.
    """
    for candidate in _candidates(execution, config.batch_size, tensor_sizes):
        try:
            needed = estimated_memory(config, candidate, chip, n_chips).total
        except InputError:
            continue
        if MARGIN * needed * chip.jax_devices <= chip.usable_bytes:
            return _options(candidate, execution)
    return None


def _candidates(
    execution: Execution, batch_size: int, tensor_sizes: tuple[int, ...]
) -> Iterator[Execution]:
    """Executions that need ever less memory, the given one first."""
    policies = _POLICIES[_POLICIES.index(execution.remat) :]
    given, shared = execution.mesh, MeshSpec(tensor=execution.mesh.tensor)
    microbatches = [execution.accumulate * 2**i for i in range(batch_size.bit_length())]
    for accumulate in microbatches:
        for mesh in dict.fromkeys([given, shared]):
            for remat in policies:
                yield dataclasses.replace(execution, remat=remat, mesh=mesh, accumulate=accumulate)
        # Microbatches are for what recomputation alone does not bring about.
        policies = _POLICIES[-1:]
    for tensor in (size for size in tensor_sizes if size > given.tensor):
        for accumulate in microbatches:
            mesh = MeshSpec(tensor=tensor)
            yield dataclasses.replace(execution, remat="full", mesh=mesh, accumulate=accumulate)


def _options(chosen: Execution, given: Execution) -> str:
    """What to add to the command line to have `chosen` in the place of `given`."""
    options = []
    if chosen.remat != given.remat:
        options.append(f"--remat {chosen.remat}")
    if chosen.accumulate != given.accumulate:
        options.append(f"--accumulate {chosen.accumulate}")
    if chosen.mesh.tensor != given.mesh.tensor:
        options.append(f"--tensor {chosen.mesh.tensor}")
    if (given.mesh.data, given.mesh.fsdp) != (chosen.mesh.data, chosen.mesh.fsdp):
        options.append("without --data and --fsdp")
    return " ".join(options)
