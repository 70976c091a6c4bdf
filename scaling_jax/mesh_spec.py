"""How many ways devices are shared out, and what a model must divide into for it.

Nothing here imports JAX, so that the command line can offer the choice without loading it.
"""

import dataclasses
import math
from dataclasses import dataclass

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import Shape
from scaling_jax.config.strict import require_positive, settle_numbers
from scaling_jax.errors import InputError

# Outermost first: the axes that talk most lie closest together.
AXES = ("replica", "data", "fsdp", "tensor")

# Float32 parameters, gradients and two moments.
_STATE_BYTES = 16
# Share of a device's memory that they may fill before they are split.
_STATE_SHARE = 0.25


@dataclass(frozen=True)
class MeshSpec:
    """Sizes of a mesh's axes; of `data` and `fsdp`, one that is None takes the devices left.

    If both are, `data` does while the model is small and `fsdp` where it is large.

    Attributes:
        replica: models trained side by side.
        data: shares of the batch, each with its own copy of the model.
        fsdp: shares of the batch among which parameters and moments are split too.
        tensor: shares of the heads, the feed-forward width or the experts, and the vocabulary.

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
        """Sizes by axis, outermost first."""
        return {axis: getattr(self, axis) for axis in AXES}

    def over(self, n_devices: int) -> dict[str, int]:
        """Sizes by axis, outermost first, that use exactly `n_devices`; `data` before `fsdp`.

        Raises:
            InputError: naming an axis that does not divide the devices, and sizes that do.
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
        """The same with `fsdp` decided where it and `data` are open, as large as can be or 1.

        A copy of the state on each device costs one sum of gradients a step. Split parameters are
        gathered twice besides, half as much traffic again, which buys memory; so they stay whole
        up to a quarter of a device's memory, and where it has none of its own.
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
    """Refuse a model or a batch that a mesh of these sizes cannot share out evenly.

    Heads come in groups that share a key and a value, so `tensor` must divide those. A
    vocabulary that it does not divide is kept whole on every device.

    Raises:
        InputError: naming the axis and the sizes that would work.
    """
    n_devices = math.prod(sizes.values())
    split = {
        "replica": {"runs": n_runs},
        "tensor": {
            "n_kv_heads": shape.kv_heads,
            **({"d_ff": shape.d_ff} if shape.is_dense else {"n_experts": shape.n_experts}),
        },
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


def describe(sizes: dict[str, int]) -> str:
    """The axes that split something, such as `data=2,fsdp=4`."""
    return ",".join(f"{axis}={size}" for axis, size in sizes.items() if size > 1) or "data=1"


def divisors(n: int) -> list[int]:
    """Every divisor of `n`, in order."""
    return [k for k in range(1, n + 1) if n % k == 0]


def _devices(n: int) -> str:
    return f"{n} device{'s' * (n != 1)}"
