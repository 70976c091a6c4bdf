"""An estimate of a run's memory on given chips without compiling, and options to reduce it."""

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

# Estimates are multiplied by this, more than the largest error in docs/compile.md.
MARGIN = 1.2

# A host has four or eight chips, and tensor parallelism should stay within a host.
_TENSOR_SIZES = (2, 4, 8)

# In the order of how much they recompute.
_POLICIES: tuple[Remat, ...] = get_args(Remat)
_KERNELS = ("splash", "cudnn", "tokamax")


def estimated_memory(
    config: RunConfig, execution: Execution, chip: Chip, n_chips: int = 1
) -> Memory:
    """Estimated memory of a run on each device of `n_chips` chips.

    Raises:
        InputError: the run does not divide over the chips, or `execution` is not possible there.
    """
    n_devices = n_chips * chip.jax_devices
    own = None if chip.platform == "cpu" else chip.memory_bytes // chip.jax_devices
    sizes = execution.mesh.chosen_for(config.shape, n_devices, own).over(n_devices)
    check_fit(sizes, config.shape, config.smallest_batch, execution.accumulate)
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
        average=config.optimizer.averages,
        remat=execution.remat,
        kernel=resolved.attention in _KERNELS,
    )


def what_would_fit(config: RunConfig, execution: Execution, topology: Topology) -> list[str]:
    """Command-line options with which the run should fit, on the same chips and on more chips.

    The options for more chips do not add tensor parallelism.
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
    """Command-line options with which the run should fit; None if no options are enough.

    They have the least recomputation that is enough, then the fewest microbatches, and then the
    least tensor parallelism.
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
    """Executions in the order in which they are tried, starting with the given one."""
    policies = _POLICIES[_POLICIES.index(execution.remat) :]
    given, shared = execution.mesh, MeshSpec(tensor=execution.mesh.tensor)
    microbatches = [execution.accumulate * 2**i for i in range(batch_size.bit_length())]
    for accumulate in microbatches:
        for mesh in dict.fromkeys([given, shared]):
            for remat in policies:
                yield dataclasses.replace(execution, remat=remat, mesh=mesh, accumulate=accumulate)
        # Microbatches are only for runs that do not fit with full recomputation.
        policies = _POLICIES[-1:]
    for tensor in (size for size in tensor_sizes if size > given.tensor):
        for accumulate in microbatches:
            mesh = MeshSpec(tensor=tensor)
            yield dataclasses.replace(execution, remat="full", mesh=mesh, accumulate=accumulate)


def _options(chosen: Execution, given: Execution) -> str:
    """The command-line options that change the execution `given` to `chosen`."""
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
