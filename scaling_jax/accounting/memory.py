"""Memory of a training step, estimated; compiling for the chip gives the figure to rely on.

Counted are the state, the gradients, a copy of the matrices in the compute precision, what the
forward pass keeps for the backward one, one layer's matrices with their gradients before they are
summed and split, the output matrix's gradient as the chunks of the loss add it up, and the larger
of one layer's backward pass and one chunk of the logits, which are not there at once. Parameters
that are split over devices are whole for as long as they are used: the tables of the vocabulary,
and two layers, since the next is fetched meanwhile. What a layer keeps without rematerialization
was read off JAX's list of residuals; how near the sums come to the TPU compiler's is in
`docs/compile.md`. A mixture's experts count with every row that they have; of those few cases were
compared, and the TPU compiler came to between 0.7 and 1.0 of the sums.
"""

from dataclasses import dataclass

from scaling_jax.accounting.flops import ParamCount, count_params
from scaling_jax.config import OptimizerName, Precision, Shape

_FLOAT32 = 4

# Rows and columns from which Adafactor keeps sums of those in place of second moments.
_FACTORED = 128

# Kept of a layer, per token and channel: the residual stream before and after either normalization.
_KEPT_STREAM = 4

# Held while a layer's backward pass is under way, per token and channel: the residual stream's
# normalized and scaled forms in float32 and in the compute precision, the forms of the feed-forward
# layer around its non-linearity, and what normalizing queries and keys takes, in bytes. Of each
# score: the score, its exponential, and the weight in the compute precision.
_NORM_FLOAT32 = 8
_STREAM = 3
_FEED_FORWARD = 6
_QK_NORM_BYTES = 8
_SCORE_FLOAT32 = 2

# The same of an expert's rows of the stream: theirs, what is made of them, and both gradients; and
# kept of its router, per expert: logits, probabilities, and whether it is chosen.
_EXPERT_STREAM = 4
_ROUTER = 3


@dataclass(frozen=True)
class Memory:
    """Bytes on one device while training."""

    params: int
    moments: int
    gradients: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.params + self.moments + self.gradients + self.activations

    def times(self, n: int) -> "Memory":
        """On `n` such devices together."""
        return Memory(n * self.params, n * self.moments, n * self.gradients, n * self.activations)


@dataclass(frozen=True)
class Spread:
    """How a step is shared out.

    Attributes:
        sequences: sequences that one device works on at a time.
        microbatches: how many such shares follow one another in a step.
        state: devices that parameters, moments and gradients are split over.
        tensor: devices among these that share heads, feed-forward width and vocabulary.
        loss_chunks: pieces in which the logits are computed, one after the other.
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
) -> Memory:
    """Estimated bytes on each device.

    `remat` is as in `Execution`; `kernel` says that attention works its scores off in blocks, so
    that they are never there at once.
    """
    params, compute = count_params(shape), 2 if precision == "bfloat16" else _FLOAT32
    tokens = spread.sequences * shape.seq_len
    state = _share(_FLOAT32 * params.total, spread.state)
    # Gradients of a microbatch are there beside the sum of those before it.
    gradients = state * min(2, spread.microbatches)
    held = _held_backward(shape, compute, kernel, spread.tensor)
    kept = compute * shape.d_model
    if remat == "dots":
        kept += compute * (shape.d_model + _share(_products(shape), spread.tensor))
        kept += _FLOAT32 * _routed(shape)
    elif remat == "none":
        kept = _kept(shape, compute, kernel, spread.tensor)
    logits = _share(shape.vocab_size * (_FLOAT32 + compute), spread.loss_chunks * spread.tensor)
    copies = 0 if compute == _FLOAT32 else _share(compute * params.total, spread.state)
    return Memory(
        params=state,
        moments=_share(_FLOAT32 * _moments(shape, params, optimizer), spread.state),
        gradients=gradients,
        activations=copies
        + _share(_vocabulary(shape, compute, spread), spread.tensor)
        + _share(_layer(shape, params, compute, spread), spread.tensor)
        + tokens * (shape.n_layers * kept + max(held, logits)),
    )


def _kept(shape: Shape, compute: int, kernel: bool, tensor: int) -> int:
    """Bytes per token that one layer keeps for the backward pass without rematerialization.

    The residual stream's part is whole on every device.
    """
    heads = 2 * (shape.d_attn + shape.d_kv)  # queries, result; keys, values
    if shape.qk_norm:
        heads += shape.d_attn + shape.d_kv
    # Each input of the non-linearity, and what it makes of them.
    inner = (shape.n_inputs + 1) * shape.d_ff
    if not shape.is_dense:
        inner += shape.d_model
    shared = compute * (_rows(shape, inner) + heads)
    if not kernel:
        shared += (_FLOAT32 + compute) * shape.n_heads * shape.seq_len
    # What the experts made of a token is kept for its weights, which are in float32.
    chosen = compute * shape.d_model * shape.experts_per_token + _FLOAT32 * _ROUTER * _routed(shape)
    whole = compute * _KEPT_STREAM * shape.d_model + (0 if shape.is_dense else chosen)
    return whole + _share(shared, tensor)


def _held_backward(shape: Shape, compute: int, kernel: bool, tensor: int) -> int:
    """Bytes per token that the backward pass of one layer holds, what it computes again included.

    The residual stream's part is whole on every device.
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


def _rows(shape: Shape, n: int) -> int:
    """`n` of each row of the feed-forward layer, or of its experts, per token."""
    if shape.is_dense:
        return n
    return _share(n * shape.n_experts * shape.expert_rows(shape.seq_len), shape.seq_len)


def _routed(shape: Shape) -> int:
    """Probabilities of a token in the router's output."""
    return 0 if shape.is_dense else shape.n_experts


def _products(shape: Shape) -> int:
    """Channels of a layer's products that `tensor` shares out: queries, keys, values, and up."""
    inner = shape.n_inputs * shape.d_ff
    if not shape.is_dense:
        inner += shape.d_model  # Their results, for the gradients of their weights.
    return shape.d_attn + 2 * shape.d_kv + _rows(shape, inner)


def _vocabulary(shape: Shape, compute: int, spread: Spread) -> int:
    table = shape.vocab_size * shape.d_model
    is_split = spread.state > spread.tensor
    return table * (_FLOAT32 + (_FLOAT32 + compute if is_split else 0))


def _layer(shape: Shape, params: ParamCount, compute: int, spread: Spread) -> int:
    one = (params.attention + params.feed_forwards) // shape.n_layers
    return (compute + _FLOAT32) * one * (2 if spread.state > spread.tensor else 1)


def _moments(shape: Shape, params: ParamCount, optimizer: OptimizerName) -> int:
    """Numbers that an optimizer keeps beside the parameters."""
    if optimizer == "adafactor" and shape.d_model >= _FACTORED:
        return params.total  # its momentum; the factored second moments are next to nothing
    if optimizer == "muon":
        matrices = params.attention + params.feed_forwards - params.router
        return matrices + 2 * (params.total - matrices)
    return 2 * params.total


def _share(n: int, of: int) -> int:
    return -(-n // of)
