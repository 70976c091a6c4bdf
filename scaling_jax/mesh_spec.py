"""The sizes of a device mesh, and checks that a model and its batch can be sharded over it.

This module does not import JAX, so that the command line can offer the options without loading it.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from scaling_jax.accounting.flops import count_params
from scaling_jax.architectures import architecture_of
from scaling_jax.config import NoiseScale, Shape
from scaling_jax.config.strict import divisors, require_positive, settle_numbers
from scaling_jax.errors import InputError

# Outermost first: devices along the last axes are neighbours, as these communicate the most.
AXES = ("replica", "data", "fsdp", "tensor")

# Bytes per parameter: float32 parameter, gradient and two moments.
_STATE_BYTES = 16
# Fraction of a device's memory that they may fill before they are sharded.
_STATE_SHARE = 0.25


@dataclass(frozen=True)
class MeshSpec:
    """Sizes of the axes of a device mesh.

    If `data` or `fsdp` is None, it takes the devices that the other axes leave. If both are None,
    `data` takes them for a small model and `fsdp` for a large one.

    Attributes:
        replica: number of runs that are trained side by side.
        data: number of shards of the batch, each with its own copy of the parameters.
        fsdp: number of shards of the batch; parameters and optimizer moments are sharded too.
        tensor: number of shards of the heads, of the feed-forward width or the experts, and of the
            vocabulary.

    Raises:
        InputError: a size below 1.
    """

    replica: int = 1
    data: int | None = None
    fsdp: int | None = None
    tensor: int = 1

    def __post_init__(self) -> None:
        for axis, size in self.sizes.items():
            if size is not None:
                require_positive(f"mesh axis {axis}", size)
        settle_numbers(self)

    @property
    def sizes(self) -> dict[str, int | None]:
        """Size of each axis, outermost first; None for an axis that takes the devices left."""
        return {axis: getattr(self, axis) for axis in AXES}

    def over(self, n_devices: int) -> dict[str, int]:
        """Size of each axis, outermost first, with every None resolved for `n_devices` devices.

        Where both are None, `data` takes the devices left and `fsdp` is 1.

        Raises:
            InputError: an axis that does not divide the devices, or a mesh that leaves some out.
        """
        left = n_devices
        for axis, size in reversed(self.sizes.items()):
            if size is not None and left % size:
                raise InputError(
                    f"mesh axis {axis} {size} does not divide {_devices(left)}"
                    f"{'' if left == n_devices else f' left of {n_devices}'}: choose one of "
                    f"{divisors(left)}"
                )
            left //= size or 1
        rest = "data" if self.data is None else "fsdp"
        sizes = {axis: size or (left if axis == rest else 1) for axis, size in self.sizes.items()}
        if math.prod(sizes.values()) != n_devices:
            raise InputError(
                f"the mesh {describe(sizes)} uses {n_devices // left} of {n_devices} devices: make "
                f"an axis {left} times as large, or leave out data or fsdp"
            )
        return sizes

    def chosen_for(self, shape: Shape, n_devices: int, memory_bytes: int | None) -> "MeshSpec":
        """This mesh with `fsdp` chosen for `shape`, if neither `fsdp` nor `data` is given.

        `fsdp` is 1 if parameters, gradients and moments fill at most a quarter of a device's
        `memory_bytes`, or if the device has no memory of its own (None). Otherwise it is as large
        as possible. Data parallelism costs one all-reduce of the gradients per step; sharded
        parameters are also gathered twice, 1.5 times as much traffic.
        """
        if self.data is not None or self.fsdp is not None:
            return self
        state = _STATE_BYTES * count_params(shape).total / self.tensor
        fits_whole = memory_bytes is None or state <= _STATE_SHARE * memory_bytes
        left = max(1, n_devices // (self.replica * self.tensor))
        return dataclasses.replace(self, fsdp=1 if fits_whole else math.gcd(left, shape.d_model))


CHOSEN = MeshSpec()


def check_fit(
    sizes: dict[str, int], shape: Shape, batch_size: int, accumulate: int = 1, n_runs: int = 1
) -> None:
    """Check that a mesh of these sizes shards a model and its batch evenly.

    In a transformer `tensor` must divide the key/value heads, since the query heads of one
    key/value head stay together. It need not divide the vocabulary, which is then replicated.

    Raises:
        InputError: it does not; the message suggests sizes that do.
    """
    n_devices = math.prod(sizes.values())
    split = {
        "replica": {"runs": n_runs},
        "tensor": architecture_of(shape).split(shape),
        "fsdp": {"d_model": shape.d_model},
    }
    for axis, dims in split.items():
        for name, size in dims.items():
            if size % sizes[axis]:
                choices = divisors(math.gcd(n_devices, *dims.values()))
                raise InputError(
                    f"mesh axis {axis} {sizes[axis]} does not divide {name} {size}: choose one of "
                    f"{choices}"
                )
    if batch_size % accumulate:
        raise InputError(
            f"accumulate {accumulate} does not divide batch_size {batch_size}: choose one of "
            f"{divisors(batch_size)}"
        )
    n = sizes["data"] * sizes["fsdp"] * accumulate
    if batch_size % n:
        lower, upper = batch_size // n * n, -(-batch_size // n) * n
        choices = [size for size in (lower, upper) if size]
        microbatches = f" and {accumulate} microbatches" if accumulate > 1 else ""
        products = divisors(math.gcd(batch_size // accumulate, n_devices))
        raise InputError(
            f"batch_size {batch_size} does not divide over {_devices(n // accumulate)} "
            f"({describe(sizes)}){microbatches}: use a multiple of {n}, such as "
            f"{' or '.join(map(str, choices))}, or data and fsdp whose product is one of {products}"
        )


def check_noise(sizes: Mapping[str, int], noise: NoiseScale | None) -> None:
    """Check that the small batch of a measurement of gradient noise divides over the devices.

    Raises:
        InputError: it does not.
    """
    n = sizes["data"] * sizes["fsdp"]
    if noise is not None and noise.small % n:
        raise InputError(
            f"noise_scale small {noise.small} does not divide over {n} devices: set it to a "
            f"multiple of {n}, or train the run on fewer devices"
        )


def describe(sizes: dict[str, int]) -> str:
    """The axes of more than one device as text, such as `data=2,fsdp=4`."""
    return ",".join(f"{axis}={size}" for axis, size in sizes.items() if size > 1) or "data=1"


def _devices(n: int) -> str:
    return f"{n} device{'s' * (n != 1)}"
