"""Recomputation, microbatches and mesh with which a run fits on its chips, by estimate.

The choice follows from the run, the kind and number of the chips and what the user gave, so all
processes of a run choose alike. This module does not import JAX.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, get_args

from scaling_jax.accounting.flops import count_params, training_flops
from scaling_jax.accounting.hardware import Chip
from scaling_jax.accounting.memory import Memory, training_memory
from scaling_jax.accounting.memory_step import Spread
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution, Remat
from scaling_jax.mesh_spec import CHOSEN, MeshSpec, check_fit, check_noise, describe

# Estimates are multiplied by this, more than the largest shortfall in docs/compile.md.
MARGIN = 1.15

# A host has four or eight chips, and tensor parallelism should stay within a host.
_TENSOR_SIZES = (2, 4, 8)

# In the order of how much they recompute; FLOPs of a step relative to no recomputation. The
# policy `dots` recomputes no product with weights; what it recomputes takes bandwidth.
_POLICIES: tuple[Remat, ...] = get_args(Remat)
_WORK = {"none": 1.0, "dots": 1.05, "full": 4 / 3}
_KERNELS = ("splash", "cudnn", "tokamax")

# A TPU stores the last axis of an array in multiples of this. The compilers of these chips store
# the shards of the state so too, as 1.6 billion parameters over 64 chips of each kind showed; those
# of v5e and v6e do not.
_TPU_TILE = 128
_PADS_SHARDS = ("v4", "v5p")

# For comparing choices: the share of the peak that products reach; the bytes that a chip exchanges
# per parameter and microbatch, gathered twice in the compute precision and summed in float32; and
# the bytes of memory that adding a microbatch's gradient moves, per parameter.
_REACHED = 0.5
_EXCHANGED_BYTES = 8
_SUMMED_BYTES = 12


class Chips(NamedTuple):
    """The chips that train a run.

    Attributes:
        chip: their kind.
        n: their number.
        slices: slices that they form; parameters are sharded within a slice.
    """

    chip: Chip
    n: int = 1
    slices: int = 1

    @property
    def n_devices(self) -> int:
        """Number of JAX devices."""
        return self.n * self.chip.jax_devices


def estimated_memory(config: RunConfig, execution: Execution, chips: Chips) -> Memory:
    """Estimated memory of a run on each device of `chips`; no recomputation unless given.

    Raises:
        InputError: the run does not divide over the chips, or `execution` is not possible there.
    """
    sizes = _sizes(config, execution, chips)
    check_fit(sizes, config.shape, config.smallest_batch, execution.microbatches)
    check_noise(sizes, config.noise_scale)
    chip = chips.chip
    resolved = execution.resolved(config, chip.platform, chips.n_devices, sizes["fsdp"] > 1)
    spread = Spread(
        sequences=config.batch_size // (sizes["data"] * sizes["fsdp"] * execution.microbatches),
        microbatches=execution.microbatches,
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
        remat=execution.policy,
        kernel=resolved.attention in _KERNELS,
        tile=_TPU_TILE if chip.platform == "tpu" else 1,
        pads_shards=chip.name in _PADS_SHARDS,
    )


def chosen_execution(
    config: RunConfig, execution: Execution, chips: Chips, share: float = 1.0
) -> Execution:
    """`execution` with a choice of recomputation, microbatches and mesh with which `config` fits.

    What the user has given stays. A run that fits as it is neither recomputes nor splits its
    batch; nor does one on a CPU. Otherwise the choice has the least tensor parallelism, and is the
    fastest by a rough estimate of compute and communication, among those whose estimated memory,
    times `MARGIN`, is at most `share` of what a program can use. If none is, it is the one with
    the least memory.

    >>> from scaling_jax.accounting.hardware import CHIPS
    >>> from scaling_jax.config import DataConfig, OptimizerConfig
    >>> from scaling_jax.shapes import CHINCHILLA_SHAPES
    >>> lr, chips = OptimizerConfig(1e-4, 1), Chips(CHIPS["v5e"], 16)
    >>> run = RunConfig(CHINCHILLA_SHAPES[20], DataConfig(), lr, 256, 10, 1024, "bfloat16")
    >>> choice_text(run, chosen_execution(run, Execution(), chips), chips)
    'accumulate 4, fsdp=16'

    Raises:
        InputError: the run does not divide over the chips, or `execution` is not possible there.
    """
    if chips.chip.platform == "cpu" or is_given(execution):
        return execution
    limit = share * chips.chip.usable_bytes / chips.chip.jax_devices
    as_it_is = replace(execution, remat=execution.policy, accumulate=execution.microbatches)
    needed = {as_it_is: estimated_memory(config, as_it_is, chips).total}
    if MARGIN * needed[as_it_is] <= limit:
        return as_it_is
    for candidate in _candidates(config, execution, chips):
        # Not every mesh and number of microbatches divides the model and the batch.
        with suppress(InputError):
            needed[candidate] = estimated_memory(config, candidate, chips).total
    fitting = [candidate for candidate in needed if MARGIN * needed[candidate] <= limit]
    if not fitting:
        return min(needed, key=lambda candidate: needed[candidate])
    # Tensor parallelism is the last resort; the first of equals recomputes the least.
    return min(fitting, key=lambda each: (each.mesh.tensor, _seconds(config, each, chips)))


def is_estimated_to_fit(memory: Memory, given: Execution, chips: Chips) -> bool:
    """Whether a device's `memory` is estimated to fit, as `given` leaves a choice or not.

    A choice leaves `MARGIN` for the error of the estimate; a user's own choice counts as it is.
    """
    has_choice = chips.chip.platform != "cpu" and not is_given(given)
    needed = (MARGIN if has_choice else 1.0) * memory.total
    return needed * chips.chip.jax_devices <= chips.chip.usable_bytes


def fewest_chips(
    config: RunConfig, execution: Execution, chip: Chip, known: Mapping[int, bool] | None = None
) -> int | None:
    """The fewest chips, a power of two, that a run is estimated to fit on by the choice for them.

    None if no number of chips that divides the batch is enough. For numbers that are `known`, the
    run fits or not as they say.
    """
    fits = dict(known or {})
    n = 1
    while n <= config.batch_size:
        if fits[n] if n in fits else _is_estimated_to_fit(config, execution, Chips(chip, n)):
            return n
        n *= 2
    return None


def _is_estimated_to_fit(config: RunConfig, execution: Execution, chips: Chips) -> bool:
    # Not every number of chips divides the batch or the model.
    with suppress(InputError):
        chosen = chosen_execution(config, execution, chips)
        device = estimated_memory(config, chosen, chips)
        return is_estimated_to_fit(device, execution, chips)
    return False


def differences(chosen: Execution, given: Execution) -> list[str]:
    """The command-line options that change the execution `given` to `chosen`."""
    options = []
    if chosen.policy != given.policy:
        options.append(f"--remat {chosen.remat}")
    if chosen.microbatches != given.microbatches:
        options.append(f"--accumulate {chosen.microbatches}")
    if chosen.mesh.tensor != given.mesh.tensor:
        options.append(f"--tensor {chosen.mesh.tensor}")
    if chosen.mesh.fsdp is not None and chosen.mesh.fsdp != given.mesh.fsdp:
        options.append(f"--fsdp {chosen.mesh.fsdp}")
    elif (given.mesh.data, given.mesh.fsdp) != (chosen.mesh.data, chosen.mesh.fsdp):
        options.append("without --data and --fsdp")
    return options


def choice_text(config: RunConfig, execution: Execution, chips: Chips) -> str:
    """How a run is computed in a few words, such as `full, 4 microbatches, fsdp=16`."""
    parts = [] if execution.policy == "none" else [f"remat {execution.policy}"]
    if execution.microbatches > 1:
        parts.append(f"accumulate {execution.microbatches}")
    sizes = _sizes(config, execution, chips)
    if chips.n_devices > 1:
        parts.append(describe(sizes))
    return ", ".join(parts) or "-"


def is_given(execution: Execution) -> bool:
    """Whether the user has left nothing to choose."""
    return execution.remat is not None and execution.accumulate is not None


def _sizes(config: RunConfig, execution: Execution, chips: Chips) -> dict[str, int]:
    chip, n_devices = chips.chip, chips.n_devices
    own = None if chip.platform == "cpu" else chip.memory_bytes // chip.jax_devices
    within = max(1, n_devices // chips.slices)
    return execution.mesh.chosen_for(config.shape, within, own).over(n_devices)


def _candidates(config: RunConfig, given: Execution, chips: Chips) -> Iterator[Execution]:
    """What could be chosen, with ever more shards, recomputation and microbatches."""
    n_splits = config.smallest_batch.bit_length()
    splits = [2**i for i in range(n_splits)] if given.accumulate is None else [given.accumulate]
    for mesh in _meshes(config, given.mesh, chips):
        for remat in _POLICIES if given.remat is None else (given.remat,):
            for accumulate in splits:
                if config.smallest_batch % accumulate == 0:
                    yield replace(given, remat=remat, accumulate=accumulate, mesh=mesh)


def _meshes(config: RunConfig, given: MeshSpec, chips: Chips) -> Iterator[MeshSpec]:
    """The given mesh, then those that shard more; tensor parallelism where no axis was given."""
    yield given
    if given.data is not None or given.fsdp is not None or chips.n_devices == 1:
        return
    within = max(1, chips.n_devices // chips.slices)
    for tensor in (1, *_TENSOR_SIZES) if given == CHOSEN else (given.tensor,):
        if within % (given.replica * tensor):
            continue
        whole = MeshSpec(replica=given.replica, tensor=tensor)
        sharded = whole.chosen_for(config.shape, within, 0)
        if sharded != given:
            yield sharded


def _seconds(config: RunConfig, execution: Execution, chips: Chips) -> float:
    """A rough time of a step, for comparing choices: compute, links and sums one after another."""
    chip, sizes = chips.chip, _sizes(config, execution, chips)
    work = _WORK[execution.policy] * training_flops(config.shape, config.tokens_per_step)
    seconds = work / (_REACHED * chip.peak_flops(config.precision) * chips.n)
    n_microbatches = execution.microbatches
    params = count_params(config.shape).total / sizes["tensor"]
    if chips.n_devices > 1 and chip.interconnect:
        # Copies of the gradients are summed; shares of the parameters are gathered too.
        seconds += _EXCHANGED_BYTES * params * n_microbatches / (chip.interconnect / 2)
        if sizes["tensor"] > 1:
            # A layer's sums over `tensor` in both directions, in the compute precision.
            n_tokens = config.tokens_per_step / (sizes["data"] * sizes["fsdp"])
            exchanged = 16 * n_tokens * config.shape.d_model * config.shape.depth
            seconds += exchanged / (chip.interconnect / 2)
    if n_microbatches > 1 and chip.bandwidth:
        seconds += n_microbatches * _SUMMED_BYTES * params / (sizes["fsdp"] * chip.bandwidth)
    return seconds
