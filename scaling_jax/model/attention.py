"""Causal self-attention with grouped query heads."""

import jax
import jax.numpy as jnp
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.model import init
from scaling_jax.model.dropout import numbered
from scaling_jax.model.kernels import Kernel, attention_with_dropout
from scaling_jax.model.layers import rms_norm
from scaling_jax.model.products import dense
from scaling_jax.model.rotary import rotate
from scaling_jax.scales import Scales


class Attention(nnx.Module):
    """Multi-head causal attention; `n_heads / n_kv_heads` query heads share a key and a value.

    One matrix of shape `D x G x (R + 2) x K` computes queries, keys and values: for each of the
    G key/value heads its R query heads, then the key, then the value. One product is faster than
    three, and the G groups can be sharded over devices. `dropout` is the share of the attention
    weights that is dropped where there are keys.
    """

    def __init__(
        self, shape: Shape, scales: Scales, *, dropout: float = 0.0, rngs: nnx.Rngs
    ) -> None:
        self.shape, self.score_scale, self.dropout = shape, scales.scores, dropout
        d, k, g = shape.d_model, shape.head_size, shape.kv_heads
        r = shape.n_heads // g
        self.qkv = nnx.Param(init.normal(rngs.params(), (d, g, r + 2, k), fan_in=d))
        self.out = nnx.Param(
            init.normal(
                rngs.params(), (g, r, k, d), fan_in=shape.d_attn, gain=init.residual_scale(scales)
            )
        )
        if shape.qk_norm:
            self.query_gain = nnx.Param(jnp.ones(k, jnp.float32))
            self.key_gain = nnx.Param(jnp.ones(k, jnp.float32))

    def __call__(
        self, x_NxD: jax.Array, seq_len: int, attend: Kernel, key_B: jax.Array | None = None
    ) -> jax.Array:
        """The attention output `y_NxD`, for sequences of `seq_len` rows stacked in `x_NxD`."""
        heads = self._heads(x_NxD, seq_len)
        if key_B is None or not self.dropout:
            y_BxTxHxK = attend(*heads)
        else:
            key_BxG = numbered(key_B, self.shape.kv_heads)
            y_BxTxHxK = attention_with_dropout(self.dropout)(*heads, key_BxG)
        y_NxA = y_BxTxHxK.reshape(x_NxD.shape[0], -1)
        return dense(y_NxA, self.out[...])

    def _heads(self, x_NxD: jax.Array, seq_len: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        g, k = self.shape.kv_heads, self.shape.head_size
        r = self.shape.n_heads // g
        qkv_NxQ = dense(x_NxD, self.qkv[...])
        qkv_BxTxGxRxK = qkv_NxQ.reshape(-1, seq_len, g, r + 2, k)
        # The gradient of a split is one concatenation; that of slices is a sum of padded arrays.
        parts = jax.lax.split(qkv_BxTxGxRxK, (r, 1, 1), axis=3)
        q_BxTxHxK, k_BxTxGxK, v_BxTxGxK = (part.reshape(*part.shape[:2], -1, k) for part in parts)
        if self.shape.qk_norm:
            q_BxTxHxK = rms_norm(q_BxTxHxK, self.query_gain[...])
            k_BxTxGxK = rms_norm(k_BxTxGxK, self.key_gain[...])
        # In addition to the kernel's 1 / sqrt(K). It scales the queries, since kernels do not take
        # a factor of the scores.
        q_BxTxHxK = q_BxTxHxK * self.score_scale
        if self.shape.positions == "rotary":
            q_BxTxHxK, k_BxTxGxK = rotate(q_BxTxHxK), rotate(k_BxTxGxK)
        return q_BxTxHxK, k_BxTxGxK, v_BxTxGxK
