"""The device mesh and the one table that lays parameters and batches out on it."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scaling_jax.errors import InputError

# Mesh axes: both split the batch; `fsdp` also splits parameters and optimizer moments.
AXES = ("data", "fsdp")

# Logical axes of every parameter, by its name in the model; a name that is absent (gains,
# counters) is replicated. Stacked layers add a leading axis that is never split.
LOGICAL_AXES: dict[str, tuple[str | None, ...]] = {
    "embedding": ("vocab", "embed"),
    "positions": (None, "embed"),
    "qkv": ("layers", "embed", "heads", None, None),
    "out": ("layers", "heads", None, None, "embed"),
    "up": ("layers", "embed", None, "mlp"),
    "down": ("layers", "mlp", "embed"),
    "output": ("embed", "vocab"),
}

# Which mesh axis a logical axis is split over.
RULES = {"embed": "fsdp"}


def make_mesh(fsdp: int = 1, devices: list[jax.Device] | None = None) -> Mesh:
    """Mesh `data x fsdp` over all devices.

    Raises:
        InputError: `fsdp` does not divide the number of devices.
    """
    devices = devices or jax.devices()
    if fsdp < 1 or len(devices) % fsdp:
        sizes = [k for k in range(1, len(devices) + 1) if len(devices) % k == 0]
        raise InputError(
            f"fsdp {fsdp} does not divide {len(devices)} devices: choose one of {sizes}"
        )
    grid = np.array(devices).reshape(-1, fsdp)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Refuse a batch that the mesh cannot share out evenly.

    Raises:
        InputError: naming the nearest batch sizes that would work.
    """
    n = mesh.size
    if batch_size % n:
        lower, upper = batch_size // n * n, -(-batch_size // n) * n
        choices = [size for size in (lower, upper) if size]
        raise InputError(
            f"batch_size {batch_size} does not divide over {n} devices: use a multiple of {n}, "
            f"such as {' or '.join(map(str, choices))}, or fewer devices"
        )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sharding of `tokens_KxBxT`: sequences over every mesh axis."""
    return NamedSharding(mesh, PartitionSpec(None, AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def state_shardings(abstract_state: Any, mesh: Mesh) -> Any:
    """Shardings of a tree of parameters and optimizer moments, by the table above."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: NamedSharding(mesh, _partition(path, leaf.shape, mesh)), abstract_state
    )


def _partition(path: Any, dims: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    name = getattr(path[-1], "key", None) if path else None
    logical = LOGICAL_AXES.get(str(name), ())
    axes = [RULES.get(axis or "") for axis in logical]
    # An axis that does not divide evenly is kept whole rather than padded.
    pairs = zip(axes, dims, strict=False)
    return PartitionSpec(
        *(axis if axis and size % mesh.shape[axis] == 0 else None for axis, size in pairs)
    )
