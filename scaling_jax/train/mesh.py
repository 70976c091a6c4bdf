"""The device mesh, and the table that determines the sharding of every array."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from flax.core.spmd import logical_axis_rules
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scaling_jax.accounting import hardware
from scaling_jax.architectures import ARCHITECTURES
from scaling_jax.config import RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, chosen_execution
from scaling_jax.mesh_spec import AXES, CHOSEN, MeshSpec, check_fit
from scaling_jax.model.stacking import map_blocks

# Mesh axes over which a logical axis is sharded; other logical axes are replicated. Only parameters
# have an axis `embed`: the width of activations is not sharded.
RULES: dict[str, str | tuple[str, ...]] = {
    "replica": "replica",
    "batch": ("data", "fsdp"),
    "embed": "fsdp",
    "heads": "tensor",
    "mlp": "tensor",
    "vocab": "tensor",
    "expert": "tensor",
}

# Logical axes of every parameter by its name in the model, of all architectures. Parameters that
# are not listed (gains, counters) are replicated. The model names the axes of activations, to which
# the same rules apply.
PARAMETERS: dict[str, tuple[str | None, ...]] = {
    name: axes for each in ARCHITECTURES.values() for name, axes in each.axes.items()
}

_UNKNOWN_MEMORY = 16 * hardware.GIB


def make_mesh(spec: MeshSpec = CHOSEN, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over all `devices`, in which neighbours are neighbours in their slice.

    Raises:
        InputError: sizes that do not divide the number of devices, or `fsdp` or `tensor` over
            several slices.
    """
    devices = list(devices or jax.devices())
    try:
        sizes = spec.over(len(devices))
    except InputError as error:
        more = "; XLA_FLAGS=--xla_force_host_platform_device_count=N gives a CPU N devices"
        raise InputError(f"{error}{more if devices[0].platform == 'cpu' else ''}") from None
    return Mesh(_arranged(sizes, devices), AXES, axis_types=(AxisType.Auto,) * len(AXES))


def mesh_for(
    shape: Shape,
    batch_size: int,
    spec: MeshSpec = CHOSEN,
    devices: Sequence[jax.Device] | None = None,
    *,
    accumulate: int = 1,
    n_runs: int = 1,
) -> Mesh:
    """The mesh that `spec` describes, checked against the shape and the batch of `n_runs` runs.

    Each of the `accumulate` microbatches is sharded over the devices.

    Raises:
        InputError: sizes that do not divide the devices, the runs, the heads, the widths or the
            batch.
    """
    devices = list(devices or jax.devices())
    if n_runs > 1 and spec == CHOSEN:
        # Runs that are trained side by side need no communication.
        spec = MeshSpec(replica=math.gcd(n_runs, len(devices)))
    # Every slice holds a copy of the parameters, because the network between slices is slow.
    n_together = len(devices) // _n_slices(devices)
    spec = spec.chosen_for(shape, n_together, device_memory(devices[0]))
    mesh = make_mesh(spec, devices)
    check_fit(dict(mesh.shape), shape, batch_size, accumulate, n_runs)
    return mesh


def chosen_here(
    config: RunConfig,
    execution: Execution,
    devices: Sequence[jax.Device] | None = None,
    share: float = 1.0,
) -> Execution:
    """`chosen_execution` on `devices`; `execution` where their memory is unknown, as on a CPU.

    Raises:
        InputError: the run does not divide over the devices, or `execution` is not possible there.
    """
    devices = list(devices or jax.devices())
    chip = hardware.chip_of_kind(devices[0].device_kind)
    if devices[0].platform == "cpu" or chip is None:
        return execution
    chips = Chips(chip, max(1, len(devices) // chip.jax_devices), _n_slices(devices))
    return chosen_execution(config, execution, chips, share)


def batch_sharding(mesh: Mesh, packed: bool = False) -> NamedSharding:
    """Sharding of `tokens_KxBxT`, or of `tokens_KxRxBxT` for R runs if `packed`."""
    return NamedSharding(mesh, PartitionSpec(None, *["replica"][:packed], RULES["batch"]))


def batch_shares(mesh: Mesh) -> int:
    """How many parts of a batch the devices hold."""
    return math.prod(mesh.shape[axis] for axis in RULES["batch"])


def local_rows(mesh: Mesh, batch_size: int) -> np.ndarray:
    """Rows of a batch that the devices of this process need, in ascending order."""
    shares = batch_sharding(mesh).addressable_devices_indices_map((1, batch_size)).values()
    return np.unique([np.arange(batch_size)[index[1]] for index in shares if index])


def put_batches(tokens: np.ndarray, mesh: Mesh, batch_size: int) -> jax.Array:
    """`tokens_KxBxT` or `tokens_KxRxBxT` on the devices, from the `local_rows` of each process."""
    *outer, _, t1 = tokens.shape
    return jax.make_array_from_process_local_data(
        batch_sharding(mesh, packed=len(outer) == 2), tokens, (*outer, batch_size, t1)
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of arrays of which every device holds a copy."""
    return NamedSharding(mesh, PartitionSpec())


def state_shardings(abstract_state: Any, mesh: Mesh, *, named: bool = True) -> Any:
    """Shardings of a tree of parameters and optimizer moments, by `PARAMETERS` and `RULES`.

    Where parameters are not `named` as in the table, as those of a user's own module, `fsdp` shards
    the largest axis of each that it divides.
    """

    def sharding(path: Any, leaf: Any) -> NamedSharding:
        by_name = _partition(path, leaf.shape, mesh)
        return NamedSharding(mesh, by_name if named else _largest_axis(leaf.shape, mesh))

    return jax.tree_util.tree_map_with_path(sharding, abstract_state)


def stacked(state: Any, n_runs: int) -> Any:
    """The abstract state of `n_runs` runs, stacked along a leading axis sharded over `replica`."""

    def stack(leaf: Any) -> jax.ShapeDtypeStruct:
        over = NamedSharding(leaf.sharding.mesh, PartitionSpec("replica", *leaf.sharding.spec))
        return jax.ShapeDtypeStruct((n_runs, *leaf.shape), leaf.dtype, sharding=over)

    return jax.tree.map(stack, state)


def unstacked(state: Any) -> Any:
    """The abstract state with one tree per layer, each with the sharding of the stacked layers."""

    def layer(leaf: Any) -> jax.ShapeDtypeStruct:
        sharding = NamedSharding(leaf.sharding.mesh, PartitionSpec(*leaf.sharding.spec[1:]))
        return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype, sharding=sharding)

    def each(blocks: dict) -> dict:
        n_layers = jax.tree.leaves(blocks)[0].shape[0]
        return dict.fromkeys(range(n_layers), jax.tree.map(layer, blocks))

    return map_blocks(state, each)


@contextmanager
def layout_rules(mesh: Mesh) -> Iterator[None]:
    """Shard the activations of a model that is traced inside the block over `mesh`."""
    if mesh.size == 1:
        yield
        return
    with jax.set_mesh(mesh), logical_axis_rules(tuple(RULES.items())):
        yield


def _partition(path: Any, dims: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    name = getattr(path[-1], "key", None) if path else None
    logical = PARAMETERS.get(str(name), ())
    axes = [RULES.get(axis or "") for axis in logical]
    # An axis that does not divide evenly is replicated, not padded.
    pairs = zip(axes, dims, strict=False)
    return PartitionSpec(
        *(axis if axis and size % mesh.shape[axis] == 0 else None for axis, size in pairs)
    )


def _largest_axis(dims: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    whole = [size if size % mesh.shape["fsdp"] == 0 else 0 for size in dims]
    largest = max(whole, default=0)
    return PartitionSpec(
        *("fsdp" if i == whole.index(largest) and largest else None for i in range(len(dims)))
    )


def _arranged(sizes: dict[str, int], devices: list[jax.Device]) -> np.ndarray:
    shape = tuple(sizes.values())
    if devices[0].platform != "tpu":
        return np.array(devices).reshape(shape)
    n_slices = _n_slices(devices)
    if n_slices == 1:
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    # Only copies of the parameters are in different slices: first whole runs, then `data`.
    replica = math.gcd(sizes["replica"], n_slices)
    between = (replica, n_slices // replica, 1, 1)
    if sizes["data"] % between[1]:
        raise InputError(
            f"{n_slices} slices need replica * data to be a multiple of {n_slices}, not "
            f"{sizes['replica']} * {sizes['data']}: fsdp and tensor stay within a slice"
        )
    within = tuple(size // n for size, n in zip(shape, between, strict=True))
    return mesh_utils.create_hybrid_device_mesh(
        within, between, devices, allow_split_physical_axes=True
    )


def _n_slices(devices: Sequence[jax.Device]) -> int:
    return len({getattr(device, "slice_index", 0) for device in devices})


def device_memory(device: jax.Device) -> int | None:
    """Bytes of memory of one device; None for virtual CPU devices, which share their memory."""
    if device.platform == "cpu":
        return None
    chip = hardware.chip_of_kind(device.device_kind)
    return chip.memory_bytes // chip.jax_devices if chip else _UNKNOWN_MEMORY
