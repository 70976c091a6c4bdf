"""An estimate of a training step's memory. Compile for the chip before relying on it.

The estimate is the state and the largest of three stages, whose arrays are never in memory
together: the loss, the backward pass of one layer, and the gradients of the vocabulary tables at
the end. The first two are beside the activations that the forward pass keeps for the backward
pass, the matrices in the compute precision, and the gradient of the output matrix, which the chunks
of the loss accumulate. Sharded parameters are gathered while they are used, and their gradients
summed before they are sharded again: those of the vocabulary tables as whole tables, those of the
layers a layer at a time. A TPU's program copies the state into the layouts of its matrix products,
and the gradients lie where the state was. Which arrays a stage holds was read from the layouts of
compiled programs and from JAX's list of residuals. `docs/compile.md` compares the estimate with the
TPU compiler. Experts count with all their rows.
"""

from dataclasses import dataclass
from typing import NamedTuple

from scaling_jax.accounting.flops import ParamCount, count_params
from scaling_jax.accounting.memory_layers import FLOAT32, Computed, layer_bytes, share
from scaling_jax.config import OptimizerName, Precision, Shape

# Adafactor factors the second moments of matrices of at least this many rows and columns.
_FACTORED = 128

# Vocabulary tables in float32 at the end of a step: the gradients of the output matrix and of the
# embedding, and a copy in another layout; where they are sharded, also their sum over devices.
_TABLES_AT_END = 3
_TABLES_SUMMED = 4


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


@dataclass(frozen=True)
class Spread:
    """How a step is divided over devices and time.

    Attributes:
        sequences: sequences of one microbatch on one device.
        microbatches: microbatches of a step, computed one after another.
        state: number of shards of parameters, moments and gradients.
        tensor: number of shards of heads, feed-forward width and vocabulary; divides `state`.
        loss_chunks: chunks of the logits, computed one after another.
    """

    sequences: int
    microbatches: int = 1
    state: int = 1
    tensor: int = 1
    loss_chunks: int = 1

    @property
    def is_split(self) -> bool:
        """Whether devices hold shards of the model's width, which are gathered for each use."""
        return self.state > self.tensor


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
    copied = 0
    if tile > 1:
        pad_to = tile if pads_shards else 1
        n_copies = 1 + moments / state
        copied = int(n_copies * FLOAT32 * _copied(shape, params, spread, pad_to))
    stages = _stages(shape, params, spread, how, copied)
    largest = max(stages, key=sum)
    return Memory(state, moments, largest.gradients, largest.others)


class _Stage(NamedTuple):
    """Bytes beside the state: gradients of the layers and sums of gradients, and all else."""

    gradients: int
    others: int


def _stages(
    shape: Shape, params: ParamCount, spread: Spread, how: Computed, copied: int
) -> list[_Stage]:
    """The loss, the backward pass of the layers, and the end of a step."""
    tokens = spread.sequences * shape.seq_len
    layers = layer_bytes(shape, how)
    table = share(FLOAT32 * shape.vocab_size * shape.d_model, spread.tensor)
    matrices = share(FLOAT32 * params.layer_matrices, spread.state)
    # With several microbatches, the sum of the gradients is in memory throughout.
    summed = share(FLOAT32 * params.total, spread.state) if spread.microbatches > 1 else 0
    beside = tokens * layers.kept + _in_compute_precision(shape, params, spread, how)
    beside += (2 if spread.is_split else 1) * table
    logits = share(shape.vocab_size * (FLOAT32 + (how.tile == 1) * how.compute), spread.tensor)
    in_loss = share(tokens * logits, spread.loss_chunks)
    if spread.is_split:
        in_loss += table * how.compute // FLOAT32
    at_end = (_TABLES_SUMMED if spread.is_split else _TABLES_AT_END) * table
    stages = [
        _Stage(summed, beside + in_loss),
        _Stage(summed + matrices, beside + _in_a_layer(shape, tokens, spread, how)),
        _Stage(summed + matrices, at_end),
    ]
    # The gradients lie where the copied part of the state was.
    return [_Stage(g, others + max(0, copied - g)) for g, others in stages]


def _in_a_layer(shape: Shape, tokens: int, spread: Spread, how: Computed) -> int:
    """Bytes in the backward pass of one layer.

    While the most activations are held, one sharded matrix has been gathered. Later the gradients
    of the feed-forward layer's and of the attention's matrices are summed while the next are
    computed, one of them beside its sum.
    """
    _, held, held_in_sums = layer_bytes(shape, how)
    if not spread.is_split:
        return tokens * held
    matrix = share(shape.d_ff * shape.d_model, spread.tensor)
    attention = share((shape.d_attn + 2 * shape.d_kv) * shape.d_model, spread.tensor)
    return max(
        tokens * held + how.compute * matrix,
        tokens * held_in_sums + FLOAT32 * ((shape.n_inputs + 2) * matrix + attention),
    )


def _in_compute_precision(shape: Shape, params: ParamCount, spread: Spread, how: Computed) -> int:
    """Bytes of the layers' matrices that are converted once a step, not in each layer."""
    if how.compute == FLOAT32:
        return 0
    is_attention = how.remat == "full" and how.tile > 1 and params.attention
    n = params.attention if is_attention else params.layer_matrices
    return share(how.compute * n, spread.state)


def _copied(shape: Shape, params: ParamCount, spread: Spread, pad_to: int) -> int:
    """Parameters of the layers that a TPU's program copies into other layouts.

    Among whole matrices, those whose last axes are short as they are stored: queries, keys and
    values in one array, and the inputs of the feed-forward layer. Among sharded ones, all: the
    shards of the model's width are the last axis of all but the feed-forward layer's inputs.
    """
    feed_forward = params.layer_matrices - params.attention
    inputs = feed_forward * shape.n_inputs // (shape.n_inputs + 1)
    if spread.is_split:
        width = share(shape.d_model * spread.tensor, spread.state)
        others = params.layer_matrices - inputs
        padded = others * share(width, pad_to) * pad_to // width
        return share(inputs + padded, spread.state)
    joined = shape.d_attn + 2 * shape.d_kv
    return share(inputs + params.attention * joined // (joined + shape.d_attn), spread.state)


def _moments(shape: Shape, params: ParamCount, optimizer: OptimizerName) -> int:
    """Numbers that an optimizer keeps in addition to the parameters."""
    if optimizer == "adafactor" and shape.d_model >= _FACTORED:
        return params.total  # the momentum; the factored second moments are negligible
    if optimizer == "muon":
        matrices = params.layer_matrices - params.router
        return matrices + 2 * (params.total - matrices)
    return 2 * params.total
