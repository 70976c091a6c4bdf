"""What a training step computes and how, and the layouts that a TPU's program gives the state."""

from dataclasses import dataclass
from typing import NamedTuple

from scaling_jax.accounting.flops import ParamCount
from scaling_jax.accounting.memory_layers import FLOAT32, Computed, share
from scaling_jax.config import Shape

# Up to this many devices, a TPU's program passes parts of sharded matrices, and of the sums of
# their gradients, around a ring while it computes the products.
_LARGEST_RING = 32

# Shards that are narrower are not copied into padded layouts.
_NARROWEST_PADDED = 32


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


class Step(NamedTuple):
    """A training step on each device.

    Attributes:
        shape: the model.
        params: its parameters.
        spread: how the step is divided over devices and time.
        how: how layers are computed.
        pads_shards: whether shards of the state are stored in whole tiles.
        per_param: numbers in the state for each parameter, itself included.
    """

    shape: Shape
    params: ParamCount
    spread: Spread
    how: Computed
    pads_shards: bool = False
    per_param: float = 3.0

    @property
    def is_tpu(self) -> bool:
        """Whether arrays are stored in tiles."""
        return self.how.tile > 1

    @property
    def tokens(self) -> int:
        """Tokens of a microbatch on one device."""
        return self.spread.sequences * self.shape.seq_len

    @property
    def rows(self) -> int:
        """Rows of the products with one feed-forward layer's or one expert's matrices."""
        if self.shape.is_dense:
            return self.tokens
        return self.spread.sequences * self.shape.expert_rows(self.shape.seq_len)

    @property
    def width(self) -> int:
        """Channels of a shard of the model's width."""
        return share(self.shape.d_model * self.spread.tensor, self.spread.state)

    @property
    def is_whole_tiles(self) -> bool:
        """Whether shards of the width are whole tiles, which need no copy to be gathered."""
        return self.is_tpu and self.width % self.how.tile == 0

    @property
    def is_ring(self) -> bool:
        """Whether the devices are so few that matrices pass around a ring of them."""
        return self.is_tpu and self.spread.state <= _LARGEST_RING * self.spread.tensor

    @property
    def pads_copies(self) -> bool:
        """Whether the state is copied into layouts that pad its shards."""
        return self.pads_shards and self.width >= _NARROWEST_PADDED

    @property
    def table(self) -> int:
        """Bytes of one vocabulary table in float32, gathered over the shards of the width."""
        return share(FLOAT32 * self.shape.vocab_size * self.shape.d_model, self.spread.tensor)

    @property
    def inputs(self) -> int:
        """Parameters of the matrices into the feed-forward layers, of all layers."""
        feed_forward = self.params.layer_matrices - self.params.attention
        return feed_forward * self.shape.n_inputs // (self.shape.n_inputs + 1)

    @property
    def outputs(self) -> int:
        """Parameters of the matrices out of the feed-forward layers, of all layers."""
        return self.params.layer_matrices - self.params.attention - self.inputs

    def padded(self, n: int) -> int:
        """`n` parameters with each shard of the width stored in whole tiles."""
        return n * share(self.width, self.how.tile) * self.how.tile // self.width

    def copied_of_layers(self) -> int:
        """Bytes of the layers' state that a TPU's program copies into other layouts.

        Those are the queries, keys and values in one array, and the inputs of the feed-forward
        layer. Where they are sharded, the attention's output matrix is too, and where shards are
        padded outside of a ring, the output matrix of the feed-forward layer.
        """
        attention = self.params.attention
        if not self.is_tpu:
            return 0
        if not self.spread.is_split:
            joined = self.shape.d_attn + 2 * self.shape.d_kv
            attention = attention * joined // (joined + self.shape.d_attn)
            return self._bytes(self.inputs + attention)
        if not self.pads_copies:
            return self._bytes(self.inputs + attention)
        outputs = 0 if self.is_ring else self.outputs
        return self._bytes(self.inputs + self.padded(attention + outputs))

    def copied_of_embedding(self) -> int:
        """Bytes of the embedding's state in the layout of the lookup, whose last axis is padded."""
        if not self.is_tpu or not self.spread.is_split or self.is_whole_tiles:
            return 0
        return self._bytes(self.padded(self.shape.vocab_size * self.shape.d_model))

    def _bytes(self, n: int) -> int:
        """Bytes of the state of `n` parameters on one device."""
        return int(self.per_param * FLOAT32 * share(n, self.spread.state))
