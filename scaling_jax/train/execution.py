"""How a run is computed: what changes its speed and memory, but not what it is.

Nothing here imports JAX, so that the command line can offer the choices without loading it.
"""

from dataclasses import dataclass, replace
from typing import Literal

from scaling_jax.config import RunConfig, Shape, require_one_of, require_positive

Remat = Literal["none", "dots", "full"]

# Several steps go out in one dispatch where a step is short: the host's work per step is
# about a millisecond, and up to a second of device time may pass before a signal is heeded.
MAX_STEPS_PER_DISPATCH = 16
_NOMINAL_FLOPS_PER_SECOND = {"cpu": 1e11}
_ACCELERATOR_FLOPS_PER_SECOND = 1e14

# Above this many layers a CPU too compiles scanned layers, to keep compilation in bounds.
MAX_UNROLLED_LAYERS = 16


@dataclass(frozen=True)
class Execution:
    """Choices that leave a run's identity alone; None is chosen by platform and shape.

    Losses differ between choices only by float32 rounding, since sums are taken in another
    order.

    Attributes:
        remat: what the backward pass recomputes of each layer: nothing, all but the matrix
            products of weights (dots), or everything (full).
        scan_layers: run the layers in a loop, which compiles faster, instead of unrolled.
        steps_per_dispatch: steps that go to the device at once.

    Raises:
        InputError: a policy that does not exist, or a count below 1.
    """

    remat: Remat = "none"
    scan_layers: bool | None = None
    steps_per_dispatch: int | None = None

    def __post_init__(self) -> None:
        require_one_of("remat", self.remat, Remat)
        if self.steps_per_dispatch is not None:
            require_positive("steps_per_dispatch", self.steps_per_dispatch)

    def resolved(self, config: RunConfig, platform: str) -> "Execution":
        """The same choices with every None decided for `config` on `platform`."""
        scan_layers, steps = self.scan_layers, self.steps_per_dispatch
        if scan_layers is None:
            scan_layers = platform != "cpu" or config.shape.n_layers > MAX_UNROLLED_LAYERS
        if steps is None:
            steps = _steps_per_dispatch(config, platform)
        return replace(self, scan_layers=scan_layers, steps_per_dispatch=steps)


DEFAULT = Execution()


def _steps_per_dispatch(config: RunConfig, platform: str) -> int:
    rate = _NOMINAL_FLOPS_PER_SECOND.get(platform, _ACCELERATOR_FLOPS_PER_SECOND)
    step_flops = 6 * _matrix_params(config.shape) * config.tokens_per_step
    affordable = max(1, int(rate / step_flops))
    return min(MAX_STEPS_PER_DISPATCH, 1 << (affordable.bit_length() - 1))


def _matrix_params(shape: Shape) -> int:
    """Rough parameter count, enough to tell a short step from a long one."""
    return shape.d_model * (shape.vocab_size + shape.n_layers * 4 * (shape.d_attn + shape.d_ff))
