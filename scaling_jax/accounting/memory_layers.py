"""Bytes per token that layers keep for the backward pass, and hold during it."""

from typing import NamedTuple

from scaling_jax.architectures.lstm import GATES
from scaling_jax.architectures.own import numbers_computed
from scaling_jax.config import Shape

FLOAT32 = 4

# Kept for each layer, token and channel: the residual stream before and after both normalizations,
# and the attention's result before its output matrix, in the layout of that product.
_KEPT_STREAM = 5

# Held during a layer's backward pass, per token. In the feed-forward layer: the two arrays around
# the non-linearity or their gradients, and forms of the residual stream. In attention: queries,
# keys and values together and one by one, the result, and the normalizers of the scores in float32,
# which kernels store as a whole tile each. While a weight's gradient is summed, one array of the
# feed-forward width is left.
_FEED_FORWARD = 2
_STREAM_OF_FEED_FORWARD = 3
_STREAM_OF_ATTENTION = 3
# With what is recomputed: the stream between the layer's branches, and the normalizers twice.
_RECOMPUTED_STREAM = 6
_RECOMPUTED_IN_ATTENTION = 8
_STREAM_OF_SUMS = 4
# Per score without a kernel: the score and its exponential in float32, and the weight.
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


class Computed(NamedTuple):
    """How layers are computed.

    Attributes:
        compute: bytes of a number in the compute precision.
        remat: as in `Execution`.
        kernel: whether the attention kernel computes scores in blocks and never holds all of them.
        tensor: number of shards of heads and feed-forward width.
        tile: the last axis of an array is stored in multiples of this; 128 on a TPU.
    """

    compute: int
    remat: str
    kernel: bool
    tensor: int
    tile: int


class PerToken(NamedTuple):
    """Bytes per token.

    Attributes:
        kept: what all layers keep for the backward pass.
        held: the most that the backward pass of one layer holds, recomputed values included.
        held_in_sums: what is left of `held` while the gradient of a weight is summed.
        inner: the part of `held_in_sums` that products with the feed-forward layer's inputs make.
    """

    kept: int
    held: int
    held_in_sums: int
    inner: int = 0


def layer_bytes(shape: Shape, how: Computed) -> PerToken:
    """Bytes per token in the layers of any architecture."""
    return _ARCHITECTURES[shape.architecture](shape, how)


def share(n: int, of: int) -> int:
    """An `of`-th of `n`, rounded up."""
    return -(-n // of)


def _of_transformer(shape: Shape, how: Computed) -> PerToken:
    held = max(_held_in_feed_forward(shape, how), _held_in_attention(shape, how))
    inner = share(how.compute * _inner(shape) // _FEED_FORWARD, how.tensor)
    return PerToken(shape.depth * _kept(shape, how), held, _held_in_sums(shape, how), inner)


def _of_lstm(shape: Shape, how: Computed) -> PerToken:
    """The loop over positions keeps its cells and gates in float32."""
    stream = how.compute * _LSTM_STREAM * shape.d_model
    gates = share(GATES * how.compute * shape.d_model, how.tensor)
    cells = share(_LSTM_CELLS * FLOAT32 * shape.d_model, how.tensor)
    recomputed = {
        "none": stream + gates + cells,
        "dots": how.compute * shape.d_model + gates,
        "full": how.compute * shape.d_model,
    }
    held = stream + 2 * (gates + cells)
    return PerToken(shape.n_layers * recomputed[how.remat], held, held)


def _of_module(shape: Shape, how: Computed) -> PerToken:
    """A user's own module: everything that it computes is kept."""
    return PerToken(share(how.compute * numbers_computed(shape), shape.seq_len), 0, 0)


_ARCHITECTURES = {
    "transformer": _of_transformer,
    "recurrent": _of_transformer,
    "lstm": _of_lstm,
    "module": _of_module,
}


def _kept(shape: Shape, how: Computed) -> int:
    """What one layer keeps. Every device holds the residual stream; `tensor` shards the rest."""
    stream = how.compute * shape.d_model
    if how.remat == "full":
        return stream
    if how.remat == "dots":
        products = how.compute * (shape.d_model + share(_products(shape), how.tensor))
        return stream + products + FLOAT32 * _routed(shape)
    heads = _heads(shape, how)
    if shape.qk_norm:
        heads += shape.d_attn + shape.d_kv
    # Each input of the non-linearity, and its output.
    inner = (shape.n_inputs + 1) * shape.d_ff
    if not shape.is_dense:
        inner += shape.d_model
    shared = how.compute * (_rows(shape, inner) + heads)
    if not how.kernel:
        shared += (FLOAT32 + how.compute) * shape.n_heads * shape.seq_len
    # The experts' outputs are kept for the gradient of their weights, which are in float32.
    chosen = how.compute * shape.d_model * shape.experts_per_token
    chosen += FLOAT32 * _ROUTER * _routed(shape)
    whole = _KEPT_STREAM * stream + (0 if shape.is_dense else chosen)
    return whole + share(shared, how.tensor)


def _held_in_feed_forward(shape: Shape, how: Computed) -> int:
    shared, stream = how.compute * _inner(shape), _STREAM_OF_FEED_FORWARD
    if how.remat != "none":
        shared += how.compute * _heads(shape, how) + _normalizers(shape, how)
        stream = _RECOMPUTED_STREAM
    return how.compute * stream * shape.d_model + share(shared, how.tensor)


def _held_in_attention(shape: Shape, how: Computed) -> int:
    shared = how.compute * _heads(shape, how) + _normalizers(shape, how)
    stream = _STREAM_OF_ATTENTION
    if how.remat == "none":
        per_head = shape.n_heads + 2 * shape.kv_heads
        shared += how.compute * per_head * _stored_head(shape, how)
    else:
        shared += how.compute * _inner(shape) // _FEED_FORWARD + _normalizers(shape, how)
        stream = _RECOMPUTED_IN_ATTENTION
    if not how.kernel:
        per_score = FLOAT32 * _SCORE_FLOAT32 + how.compute
        shared += per_score * shape.n_heads * shape.seq_len
    return how.compute * stream * shape.d_model + share(shared, how.tensor)


def _held_in_sums(shape: Shape, how: Computed) -> int:
    shared = how.compute * (_inner(shape) // _FEED_FORWARD + _heads(shape, how))
    return how.compute * _STREAM_OF_SUMS * shape.d_model + share(shared, how.tensor)


def _stored_head(shape: Shape, how: Computed) -> int:
    """Channels of one head as they are stored."""
    return share(shape.head_size, how.tile) * how.tile


def _heads(shape: Shape, how: Computed) -> int:
    """Channels of queries, keys, values and result as they are stored."""
    return 2 * (shape.n_heads + shape.kv_heads) * _stored_head(shape, how)


def _normalizers(shape: Shape, how: Computed) -> int:
    """Bytes of the normalizers of a kernel's scores."""
    return FLOAT32 * shape.n_heads * how.tile if how.kernel else 0


def _inner(shape: Shape) -> int:
    """Numbers around the non-linearity that are in memory at a time."""
    inner = _FEED_FORWARD * shape.d_ff
    if not shape.is_dense:
        inner += _EXPERT_STREAM * shape.d_model
    return _rows(shape, inner)


def _rows(shape: Shape, n: int) -> int:
    """`n` per row of the feed-forward layer as a number per token; experts have more rows."""
    if shape.is_dense:
        return n
    return share(n * shape.n_experts * shape.expert_rows(shape.seq_len), shape.seq_len)


def _routed(shape: Shape) -> int:
    """Number of router probabilities per token."""
    return 0 if shape.is_dense else shape.n_experts


def _products(shape: Shape) -> int:
    """Channels of a layer's matrix products that `tensor` shards: queries, keys, values and up."""
    inner = shape.n_inputs * shape.d_ff
    if not shape.is_dense:
        inner += shape.d_model  # The experts' outputs, for the gradient of their weights.
    return shape.d_attn + 2 * shape.d_kv + _rows(shape, inner)
