"""What identifies a user's own module, and its counts."""

from dataclasses import dataclass
from typing import Literal

from scaling_jax.config.strict import require_one_of, require_positive, settle_numbers

CountedBy = Literal["formula", "program"]


@dataclass(frozen=True)
class OwnModule:
    """A user's own Flax module at one shape: its source, parameters and FLOPs.

    The counts are stored with the run, so that its records need neither the module nor JAX.

    Attributes:
        name: name of the module's class.
        source: digest of the class and of everything in its folder that the class uses.
        params: number of parameters.
        non_embedding: parameters without tables and the output matrix.
        forward_flops: FLOPs of the matrix products of the forward pass over one sequence.
        counted_by: whether the FLOPs come from the module's formula or from its traced program.

    Raises:
        InputError: a count below 1.
    """

    name: str
    source: str
    params: int
    non_embedding: int
    forward_flops: int
    counted_by: CountedBy

    def __post_init__(self) -> None:
        settle_numbers(self)
        for name in ("params", "non_embedding", "forward_flops"):
            require_positive(f"module.{name}", getattr(self, name))
        require_one_of("module.counted_by", self.counted_by, CountedBy)

    def __str__(self) -> str:
        return f"{self.name} {self.source}"
