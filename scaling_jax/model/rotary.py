"""Rotary position embedding (Su et al. 2021) of pairs from the two halves of each head."""

import jax
import jax.numpy as jnp
import numpy as np

ROTARY_BASE = 10_000.0


def angles(seq_len: int, head_dim: int) -> np.ndarray:
    """Angles `angle_TxK2 = t * base^(-2i / head_dim)` for position t and channel pair i."""
    frequency = ROTARY_BASE ** (-np.arange(0, head_dim, 2) / head_dim)
    return np.outer(np.arange(seq_len), frequency)


def rotate(x_BxTxHxK: jax.Array) -> jax.Array:
    """`x_BxTxHxK` with the channel pairs (i, i + K/2) of every head rotated by `angles`."""
    seq_len, head_dim = x_BxTxHxK.shape[1], x_BxTxHxK.shape[3]
    angle_1xTx1xK2 = angles(seq_len, head_dim)[None, :, None, :]
    half = (*x_BxTxHxK.shape[:-1], head_dim // 2)
    cos = jnp.broadcast_to(jnp.asarray(np.cos(angle_1xTx1xK2), x_BxTxHxK.dtype), half)
    sin = jnp.broadcast_to(jnp.asarray(np.sin(angle_1xTx1xK2), x_BxTxHxK.dtype), half)
    first, second = jnp.split(x_BxTxHxK, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
