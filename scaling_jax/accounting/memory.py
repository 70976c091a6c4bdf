"""An estimate of a training step's memory. Compile for the chip before relying on it.

The estimate is the state and what the arrays of a step need beside it (`memory_arrays`):
activations that the forward pass keeps for the backward pass, what the backward pass of one layer
holds, the logits, the gathered vocabulary tables and their gradients. Sharded parameters are
gathered while they are used, and their gradients summed before they are sharded again. A TPU's
program copies parts of the state into the layouts of its matrix products, and its arrays leave
gaps (`memory_layout`); for other devices the most that is in memory at a time counts.
`docs/compile.md` compares the estimate with the TPU compiler. Experts count with all their rows.
"""

from dataclasses import dataclass

from scaling_jax.accounting.flops import ParamCount, count_params
from scaling_jax.accounting.memory_arrays import arrays
from scaling_jax.accounting.memory_layers import FLOAT32, Computed, share
from scaling_jax.accounting.memory_layout import with_gaps, without_gaps
from scaling_jax.accounting.memory_step import Spread, Step
from scaling_jax.config import OptimizerName, Precision, Shape

# Adafactor factors the second moments of matrices of at least this many rows and columns.
_FACTORED = 128


@dataclass(frozen=True)
class Memory:
    """Bytes of memory on one device during training, by purpose."""

    params: int
    moments: int
    gradients: int
    activations: int

    @property
    def total(self) -> int:
        """Bytes summed over purposes."""
        return self.params + self.moments + self.gradients + self.activations

    def times(self, n: int) -> "Memory":
        """Bytes on `n` such devices together."""
        return Memory(n * self.params, n * self.moments, n * self.gradients, n * self.activations)


def training_memory(
    shape: Shape,
    spread: Spread,
    *,
    precision: Precision = "bfloat16",
    optimizer: OptimizerName = "adamw",
    remat: str = "none",
    kernel: bool = True,
    average: bool = False,
    tile: int = 1,
    pads_shards: bool = False,
) -> Memory:
    """Estimated bytes of memory on each device during training.

    `remat` is as in `Execution`; `kernel` says that the attention kernel computes scores in blocks
    and never holds all of them; `average` that the run keeps an average of its parameters, which
    counts as a moment. The last axis of an array is stored in multiples of `tile`, 128 on a TPU;
    `pads_shards` says that this holds for the shards of the state too.
    """
    params, compute = count_params(shape), 2 if precision == "bfloat16" else FLOAT32
    how = Computed(compute, remat, kernel, spread.tensor, tile)
    state = share(FLOAT32 * params.total, spread.state)
    moments = share(FLOAT32 * _moments(shape, params, optimizer), spread.state) + average * state
    step = Step(shape, params, spread, how, pads_shards, 1 + moments / state)
    needed = (with_gaps if step.is_tpu else without_gaps)(arrays(step))
    return Memory(state, moments, needed.gradients, needed.total - needed.gradients)


def _moments(shape: Shape, params: ParamCount, optimizer: OptimizerName) -> int:
    """Numbers that an optimizer keeps in addition to the parameters."""
    if optimizer == "adafactor" and shape.d_model >= _FACTORED:
        return params.total  # the momentum; the factored second moments are negligible
    if optimizer == "muon":
        matrices = params.layer_matrices - params.router
        return matrices + 2 * (params.total - matrices)
    return 2 * params.total
