"""Causal self-attention with grouped query heads."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.model import init
from scaling_jax.model.layers import rms_norm
from scaling_jax.model.rotary import rotate
from scaling_jax.scales import Scales


class Attention(nnx.Module):
    """Multi-head causal attention; `n_heads / n_kv_heads` query heads share a key and a value.

    Queries, keys and values come from one matrix laid out `D x G x (R + 2) x K`: for each of
    the G key/value heads its R query heads, then the key, then the value. One product is
    faster than three, and the groups stay separable across devices.
    """

    def __init__(self, shape: Shape, scales: Scales, *, rngs: nnx.Rngs) -> None:
        self.shape, self.score_scale = shape, scales.scores
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

    def __call__(self, x_NxD: jax.Array, seq_len: int) -> jax.Array:
        """Attend within each of the `N / seq_len` sequences stacked in the rows of `x_NxD`."""
        q_BxTxHxK, k_BxTxGxK, v_BxTxGxK = self._heads(x_NxD, seq_len)
        y_BxTxHxK = causal_attention(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK)
        y_NxA = y_BxTxHxK.reshape(x_NxD.shape[0], -1)
        return y_NxA @ self.out[...].astype(x_NxD.dtype).reshape(y_NxA.shape[1], -1)

    def _heads(self, x_NxD: jax.Array, seq_len: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        g, k = self.shape.kv_heads, self.shape.head_size
        r = self.shape.n_heads // g
        qkv_NxE = x_NxD @ self.qkv[...].astype(x_NxD.dtype).reshape(x_NxD.shape[1], -1)
        qkv_BxTxGxRxK = qkv_NxE.reshape(-1, seq_len, g, r + 2, k)
        q_BxTxHxK = qkv_BxTxGxRxK[:, :, :, :r].reshape(-1, seq_len, g * r, k)
        k_BxTxGxK, v_BxTxGxK = qkv_BxTxGxRxK[:, :, :, r], qkv_BxTxGxRxK[:, :, :, r + 1]
        if self.shape.qk_norm:
            q_BxTxHxK = rms_norm(q_BxTxHxK, self.query_gain[...])
            k_BxTxGxK = rms_norm(k_BxTxGxK, self.key_gain[...])
        # Beside the 1 / sqrt(K) of any attention; on the queries, so that every kernel has it.
        q_BxTxHxK = q_BxTxHxK * self.score_scale
        if self.shape.positions == "rotary":
            q_BxTxHxK, k_BxTxGxK = rotate(q_BxTxHxK), rotate(k_BxTxGxK)
        return q_BxTxHxK, k_BxTxGxK, v_BxTxGxK


def causal_attention(q_BxTxHxK: jax.Array, k_BxTxGxK: jax.Array, v_BxTxGxK: jax.Array) -> jax.Array:
    """Softmax attention over each position and those before it, softmax in float32.

    Returns `y_BxTxHxK` in the dtype of the values.
    """
    b, t, h, k = q_BxTxHxK.shape
    g = k_BxTxGxK.shape[2]
    # The query heads of one group stack as rows, so that each group is one matrix product.
    q_GxMxK = _group_rows(q_BxTxHxK * np.asarray(k**-0.5, q_BxTxHxK.dtype), g)
    k_GxKxT = k_BxTxGxK.transpose(0, 2, 3, 1).reshape(b * g, k, t)
    v_GxTxK = v_BxTxGxK.transpose(0, 2, 1, 3).reshape(b * g, t, k)
    scores_GxMxT = jnp.matmul(q_GxMxK, k_GxKxT, preferred_element_type=jnp.float32)
    weights_GxMxT, total_GxMx1 = _causal_weights(scores_GxMxT)
    y_GxMxK = jnp.matmul(
        weights_GxMxT.astype(v_GxTxK.dtype), v_GxTxK, preferred_element_type=jnp.float32
    )
    # Dividing after the product is one pass over K columns instead of one over T.
    y_GxMxK = (y_GxMxK / total_GxMx1).astype(v_GxTxK.dtype)
    return y_GxMxK.reshape(b, h, t, k).transpose(0, 2, 1, 3)


def _group_rows(q_BxTxHxK: jax.Array, n_groups: int) -> jax.Array:
    b, t, h, k = q_BxTxHxK.shape
    return q_BxTxHxK.transpose(0, 2, 1, 3).reshape(b * n_groups, h // n_groups * t, k)


def _causal_weights(scores_GxMxT: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Unnormalized softmax weights and their row sums, rows cycling through the positions."""
    n_rows, t = scores_GxMxT.shape[1:]
    visible_MxT = np.tile(np.tri(t, dtype=bool), (n_rows // t, 1))
    hidden_1xMxT = np.where(visible_MxT, np.float32(0), np.float32(-1e30))[None]
    masked = scores_GxMxT + jnp.broadcast_to(hidden_1xMxT, scores_GxMxT.shape)
    # The maximum only guards against overflow and cancels out, so no gradient flows through it.
    weights = jnp.exp(masked - jax.lax.stop_gradient(masked.max(-1, keepdims=True)))
    return weights, weights.sum(-1, keepdims=True)
