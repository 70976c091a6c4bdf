"""An estimate of a training step's memory. Compile for the chip before relying on it.

The estimate is the sum of: the state; the gradients; a copy of the matrices in the compute
precision; the activations that the forward pass keeps for the backward pass; one layer's matrices
and their gradients before the gradients are summed and sharded; the gradient of the output matrix,
which the chunks of the loss accumulate; and the larger of one layer's backward pass and one chunk
of the logits, which are never in memory together. Sharded parameters are gathered while they are
used: the vocabulary tables, and two layers, because the next layer is gathered during the current
one. What a layer keeps without rematerialization was read from JAX's list of residuals.
`docs/compile.md` compares the estimate with the TPU compiler. Experts count with all their rows;
in the few mixtures that were compared, the TPU compiler needed 0.7 to 1.0 of the estimate.
"""

from dataclasses import dataclass

from scaling_jax.accounting.flops import ParamCount, count_params
from scaling_jax.architectures.lstm import GATES
from scaling_jax.architectures.own import numbers_computed
from scaling_jax.config import OptimizerName, Precision, Shape

_FLOAT32 = 4

# Adafactor factors the second moments of matrices of at least this many rows and columns.
_FACTORED = 128

# Kept for each layer, token and channel: the residual stream before and after both normalizations.
_KEPT_STREAM = 4

# Held during a layer's backward pass. Per token and channel: the residual stream's normalized and
# scaled forms in float32 and in the compute precision, the feed-forward layer's values around its
# non-linearity, and the bytes of normalizing queries and keys. Per score: the score and its
# exponential in float32, and the weight in the compute precision.
_NORM_FLOAT32 = 8
_STREAM = 3
_FEED_FORWARD = 6
_QK_NORM_BYTES = 8
_SCORE_FLOAT32 = 2

# Held for each row of an expert, per channel: input, output and the gradients of both. Kept for
# the router, per token and expert: logit, probability, and whether the expert is chosen.
_EXPERT_STREAM = 4
_ROUTER = 3

# Kept for each layer and token of an LSTM, per channel: the residual stream around the
# normalization; in the loop over positions the four gates before and after their non-linearities,
# the cell before and after it, and the state.
_LSTM_STREAM = 3
_LSTM_CELLS = 11


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


def training_memory(
    shape: Shape,
    spread: Spread,
    *,
    precision: Precision = "bfloat16",
    optimizer: OptimizerName = "adamw",
    remat: str = "none",
    kernel: bool = True,
    average: bool = False,
    head_tile: int = 1,
) -> Memory:
    """Estimated bytes of memory on each device during training.

    `remat` is as in `Execution`; `kernel` says that the attention kernel computes scores in blocks
    and never holds all of them; `average` that the run keeps an average of its parameters, which
    counts as a moment. Queries, keys, values and their result are stored with heads of a multiple
    of `head_tile` channels: 128 on a TPU.
    """
    params, compute = count_params(shape), 2 if precision == "bfloat16" else _FLOAT32
    tokens = spread.sequences * shape.seq_len
    state = _share(_FLOAT32 * params.total, spread.state)
    # With several microbatches, the sum of the gradients is in memory beside the current ones.
    gradients = state * min(2, spread.microbatches)
    kept, held = _ACTIVATIONS[shape.architecture](shape, compute, kernel, remat, spread.tensor)
    padded = _padding(shape, compute, head_tile, spread.tensor)
    kept, held = kept + (shape.depth * padded if remat == "none" else 0), held + padded
    logits = _share(shape.vocab_size * (_FLOAT32 + compute), spread.loss_chunks * spread.tensor)
    copies = 0 if compute == _FLOAT32 else _share(compute * params.total, spread.state)
    return Memory(
        params=state,
        moments=_share(_FLOAT32 * _moments(shape, params, optimizer), spread.state)
        + average * state,
        gradients=gradients,
        activations=copies
        + _share(_vocabulary(shape, compute, spread), spread.tensor)
        + _share(_layer(shape, params, compute, spread), spread.tensor)
        + tokens * (kept + max(held, logits)),
    )


def _of_transformer(
    shape: Shape, compute: int, kernel: bool, remat: str, tensor: int
) -> tuple[int, int]:
    """Bytes per token that all layers keep, and that the backward pass of one layer holds."""
    kept = compute * shape.d_model
    if remat == "dots":
        kept += compute * (shape.d_model + _share(_products(shape), tensor))
        kept += _FLOAT32 * _routed(shape)
    elif remat == "none":
        kept = _kept(shape, compute, kernel, tensor)
    return shape.depth * kept, _held_backward(shape, compute, kernel, tensor)


def _of_lstm(shape: Shape, compute: int, kernel: bool, remat: str, tensor: int) -> tuple[int, int]:
    """As `_of_transformer`; the loop over positions keeps its cells and gates in float32."""
    stream = compute * _LSTM_STREAM * shape.d_model
    gates = _share(GATES * compute * shape.d_model, tensor)
    cells = _share(_LSTM_CELLS * _FLOAT32 * shape.d_model, tensor)
    recomputed = {
        "none": stream + gates + cells,
        "dots": compute * shape.d_model + gates,
        "full": compute * shape.d_model,
    }
    return shape.n_layers * recomputed[remat], stream + 2 * (gates + cells)


def _of_module(
    shape: Shape, compute: int, kernel: bool, remat: str, tensor: int
) -> tuple[int, int]:
    """As `_of_transformer`, for a user's own module: everything that it computes is kept."""
    return _share(compute * numbers_computed(shape), shape.seq_len), 0


_ACTIVATIONS = {
    "transformer": _of_transformer,
    "recurrent": _of_transformer,
    "lstm": _of_lstm,
    "module": _of_module,
}


def _kept(shape: Shape, compute: int, kernel: bool, tensor: int) -> int:
    """Bytes per token that one layer keeps for the backward pass without rematerialization.

    Every device holds the residual stream's part; `tensor` shards the rest.
    """
    heads = 2 * (shape.d_attn + shape.d_kv)  # queries, result; keys, values
    if shape.qk_norm:
        heads += shape.d_attn + shape.d_kv
    # Each input of the non-linearity, and its output.
    inner = (shape.n_inputs + 1) * shape.d_ff
    if not shape.is_dense:
        inner += shape.d_model
    shared = compute * (_rows(shape, inner) + heads)
    if not kernel:
        shared += (_FLOAT32 + compute) * shape.n_heads * shape.seq_len
    # The experts' outputs are kept for the gradient of their weights, which are in float32.
    chosen = compute * shape.d_model * shape.experts_per_token + _FLOAT32 * _ROUTER * _routed(shape)
    whole = compute * _KEPT_STREAM * shape.d_model + (0 if shape.is_dense else chosen)
    return whole + _share(shared, tensor)


def _held_backward(shape: Shape, compute: int, kernel: bool, tensor: int) -> int:
    """Bytes per token that the backward pass of one layer holds, recomputed values included.

    Every device holds the residual stream's part; `tensor` shards the rest.
    """
    heads = 2 * (shape.d_attn + shape.d_kv)  # queries, result; keys, values
    inner = _FEED_FORWARD * shape.d_ff
    if not shape.is_dense:
        inner += _EXPERT_STREAM * shape.d_model
    shared = compute * (_rows(shape, inner) + heads)
    if shape.qk_norm:
        shared += _QK_NORM_BYTES * (shape.d_attn + shape.d_kv)
    if not kernel:
        shared += (_FLOAT32 * _SCORE_FLOAT32 + compute) * shape.n_heads * shape.seq_len
    return (_FLOAT32 * _NORM_FLOAT32 + compute * _STREAM) * shape.d_model + _share(shared, tensor)


def _padding(shape: Shape, compute: int, head_tile: int, tensor: int) -> int:
    """Bytes per token by which the heads of a layer are stored larger than they are."""
    if shape.architecture not in ("transformer", "recurrent"):
        return 0
    extra = -shape.head_size % head_tile
    return _share(2 * compute * (shape.n_heads + shape.kv_heads) * extra, tensor)


def _rows(shape: Shape, n: int) -> int:
    """`n` per row of the feed-forward layer as a number per token; experts have more rows."""
    if shape.is_dense:
        return n
    return _share(n * shape.n_experts * shape.expert_rows(shape.seq_len), shape.seq_len)


def _routed(shape: Shape) -> int:
    """Number of router probabilities per token."""
    return 0 if shape.is_dense else shape.n_experts


def _products(shape: Shape) -> int:
    """Channels of a layer's matrix products that `tensor` shards: queries, keys, values and up."""
    inner = shape.n_inputs * shape.d_ff
    if not shape.is_dense:
        inner += shape.d_model  # The experts' outputs, for the gradient of their weights.
    return shape.d_attn + 2 * shape.d_kv + _rows(shape, inner)


def _vocabulary(shape: Shape, compute: int, spread: Spread) -> int:
    table = shape.vocab_size * shape.d_model
    is_split = spread.state > spread.tensor
    return table * (_FLOAT32 + (_FLOAT32 + compute if is_split else 0))


def _layer(shape: Shape, params: ParamCount, compute: int, spread: Spread) -> int:
    one = params.layer_matrices // shape.n_layers
    return (compute + _FLOAT32) * one * (2 if spread.state > spread.tensor else 1)


def _moments(shape: Shape, params: ParamCount, optimizer: OptimizerName) -> int:
    """Numbers that an optimizer keeps in addition to the parameters."""
    if optimizer == "adafactor" and shape.d_model >= _FACTORED:
        return params.total  # the momentum; the factored second moments are negligible
    if optimizer == "muon":
        matrices = params.layer_matrices - params.router
        return matrices + 2 * (params.total - matrices)
    return 2 * params.total


def _share(n: int, of: int) -> int:
    return -(-n // of)
