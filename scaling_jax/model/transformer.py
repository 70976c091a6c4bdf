"""The decoder-only, pre-norm transformer."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_jax.config import Dropout, Shape
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.model import init
from scaling_jax.model.attention import Attention
from scaling_jax.model.dropout import drop, keys_at, numbered
from scaling_jax.model.kernels import Kernel, causal_attention
from scaling_jax.model.layers import FeedForward, RMSNorm
from scaling_jax.model.moe import Experts
from scaling_jax.model.partition import constrain
from scaling_jax.model.products import DENSE
from scaling_jax.model.stacking import layers_of
from scaling_jax.scales import Scales, scales_of

# Learned positions start small relative to the unit-scale token embedding, so that the sum of both
# is at unit scale.
POSITION_SCALE = 0.1

# The values of a layer that the forward pass keeps for the backward pass; "none" keeps all values.
REMAT_POLICIES = {
    "dots": jax.checkpoint_policies.save_only_these_names(DENSE),
    "full": jax.checkpoint_policies.nothing_saveable,
}


class Block(nnx.Module):
    """One layer: attention, then a feed-forward layer or experts.

    The input of each branch is normalized, and its output is added to the residual stream.
    """

    def __init__(
        self, shape: Shape, scales: Scales, dropout: Dropout = NO_DROPOUT, *, rngs: nnx.Rngs
    ) -> None:
        self.branch_scale, self.dropout = scales.branch, dropout.residual
        self.attention_norm = RMSNorm(shape.d_model)
        self.attention = Attention(shape, scales, dropout=dropout.attention, rngs=rngs)
        self.feed_forward_norm = RMSNorm(shape.d_model)
        make = FeedForward if shape.is_dense else Experts
        self.feed_forward = make(shape, scales, rngs=rngs)

    def __call__(
        self, x_NxD: jax.Array, seq_len: int, attend: Kernel, key_B: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array | None]:
        """The residual stream `x_NxD` after both branches; with experts, also their `balance_B`.

        With a key for each sequence, values are dropped.
        """
        scale, rate = self.branch_scale, self.dropout
        y_NxD = self.attention(self.attention_norm(x_NxD), seq_len, attend, keys_at(0, key_B))
        x_NxD = x_NxD + scale * drop(y_NxD, rate, keys_at(1, key_B))
        x_NxD = constrain(x_NxD, "batch", None)
        normed_NxD, balance_B = self.feed_forward_norm(x_NxD), None
        if isinstance(self.feed_forward, Experts):
            y_NxD, balance_B = self.feed_forward(normed_NxD, seq_len)
        else:
            y_NxD = self.feed_forward(normed_NxD)
        y_NxD = drop(y_NxD, rate, keys_at(2, key_B))
        return constrain(x_NxD + scale * y_NxD, "batch", None), balance_B


class Transformer(nnx.Module):
    """A decoder-only transformer from token ids to next-token logits.

    Parameters are float32; matrix products run in `dtype`. With `scan_layers` the parameters of
    the layers are stacked along a leading axis and run in a loop, which compiles faster for deep
    models; otherwise each layer has parameters of its own (`stacking.py` converts between the two).
    The backward pass recomputes the values of a layer that the policy `remat` does not keep
    (`REMAT_POLICIES`). `attend` is one of the attention kernels of `kernels.py`. Values are dropped
    by the shares of `dropout` where the caller gives a key for each sequence. A subclass with
    another `layer` has other blocks between the same embedding and output.
    """

    layer: Any = Block

    def __init__(
        self,
        shape: Shape,
        *,
        rngs: nnx.Rngs,
        parameterization: Parameterization = STANDARD,
        dtype: Any = jnp.float32,
        scan_layers: bool = False,
        remat: str = "none",
        attend: Kernel = causal_attention,
        dropout: Dropout = NO_DROPOUT,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.scan_layers, self.remat, self.attend = scan_layers, remat, attend
        self.dropout = dropout
        self.scales = scales_of(parameterization, shape)
        d, v, table_fan_in = shape.d_model, shape.vocab_size, self.scales.table_fan_in
        self.embedding = nnx.Param(init.normal(rngs.params(), (v, d), fan_in=table_fan_in))
        if shape.positions == "learned":
            positions = init.normal(
                rngs.params(), (shape.seq_len, d), fan_in=1, gain=POSITION_SCALE
            )
            self.positions = nnx.Param(positions)
        stacked = _stacked_blocks(self.layer, shape, self.scales, dropout, rngs)
        self.blocks: Any = stacked if scan_layers else _apart(stacked)
        self.final_norm = RMSNorm(d)
        if not shape.tied_embedding:
            self.output = nnx.Param(init.normal(rngs.params(), (d, v), fan_in=table_fan_in))

    def __call__(self, tokens_BxT: jax.Array) -> jax.Array:
        """Float32 `logits_BxTxV` of the token after each position; T may be below `seq_len`."""
        x_NxD = self.features(tokens_BxT)
        output_DxV = self.output_matrix.astype(self.dtype)
        logits_NxV = jnp.matmul(x_NxD, output_DxV, preferred_element_type=jnp.float32)
        return constrain(logits_NxV, "batch", "vocab").reshape(*tokens_BxT.shape, -1)

    @property
    def output_matrix(self) -> jax.Array:
        """Float32 `output_DxV` that turns features into logits."""
        return self.embedding[...].T if self.shape.tied_embedding else self.output[...]

    def features(self, tokens_BxT: jax.Array) -> jax.Array:
        """Normalized rows `x_NxD` of the residual stream after the last block."""
        return self.features_and_balance(tokens_BxT)[0]

    def features_and_balance(
        self, tokens_BxT: jax.Array, key_B: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array | None]:
        """`features`, and the mean of `moe.balance` over layers and sequences; None if dense."""
        x_NxD = drop(self.embed(tokens_BxT), self.dropout.embedding, keys_at(0, key_B))
        x_NxD, balance = self._run_blocks(x_NxD, tokens_BxT.shape[1], key_B)
        return self.final_norm(x_NxD) * self.scales.logits, balance

    def embed(self, tokens_BxT: jax.Array, first: Any = None) -> jax.Array:
        """Rows `x_NxD` of the residual stream before the first block, at unit scale.

        With `first`, the tokens are at the T positions that start there.
        """
        # The activations are two-dimensional from here on, because matrix products of flat operands
        # are faster on a CPU and as fast elsewhere. The table has variance 1 / d_model, which suits
        # a tied output; the factor below undoes it. Each device holds rows of the table at their
        # whole width, so that the lookup exchanges rows alone.
        table_VxD = constrain(self.embedding[...], "vocab", None)
        x_BxTxD = constrain(table_VxD[tokens_BxT], "batch")
        x_BxTxD = x_BxTxD * np.float32(self.scales.table_fan_in**0.5)
        if self.shape.positions == "learned":
            table, n = self.positions[...], tokens_BxT.shape[1]
            positions_TxD = (
                table[:n] if first is None else jax.lax.dynamic_slice_in_dim(table, first, n)
            )
            x_BxTxD = x_BxTxD + jnp.broadcast_to(positions_TxD, x_BxTxD.shape)
        return constrain(x_BxTxD.astype(self.dtype).reshape(-1, self.shape.d_model), "batch", None)

    def _run_blocks(
        self, x_NxD: jax.Array, seq_len: int, key_B: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array | None]:
        graph, *_ = nnx.split(self.blocks if self.scan_layers else self.blocks[0])

        def run(x_NxD: jax.Array, layer: Any) -> tuple[jax.Array, jax.Array | None]:
            params, key_B = layer
            return nnx.merge(graph, params)(x_NxD, seq_len, self.attend, key_B)

        key_LxB = None
        if (key_B := keys_at(1, key_B)) is not None:
            key_LxB = numbered(key_B, self.shape.n_layers).T
        if self.remat != "none":
            # A loop prevents common-subexpression elimination of the recomputation by itself.
            policy = REMAT_POLICIES[self.remat]
            run = jax.checkpoint(run, policy=policy, prevent_cse=not self.scan_layers)
        if self.scan_layers:
            x_NxD, balance_LxB = jax.lax.scan(run, x_NxD, (nnx.state(self.blocks), key_LxB))
            return x_NxD, None if balance_LxB is None else balance_LxB.mean()
        balances = []
        for i, block in enumerate(self.blocks):
            key_B = None if key_LxB is None else key_LxB[i]
            x_NxD, balance_B = run(x_NxD, (nnx.state(block), key_B))
            if balance_B is not None:
                balances.append(balance_B)
        return x_NxD, jnp.stack(balances).mean() if balances else None


def _stacked_blocks(
    layer: Any, shape: Shape, scales: Scales, dropout: Dropout, rngs: nnx.Rngs
) -> Any:
    @nnx.split_rngs(splits=shape.n_layers)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs: nnx.Rngs) -> Any:
        return layer(shape, scales, dropout, rngs=rngs)

    return make(rngs)


def _apart(stacked: Any) -> nnx.List[Any]:
    graph, params = nnx.split(stacked)
    return nnx.List([nnx.merge(graph, layer) for layer in layers_of(params)])
