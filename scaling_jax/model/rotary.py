"""Rotary position embedding (Su et al. 2021) of pairs from the two halves of each head."""

from collections.abc import Callable
from typing import Any

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
    return rotate_by(x_BxTxHxK, angles(x_BxTxHxK.shape[1], x_BxTxHxK.shape[3]))


def rotate_by(x_BxTxHxK: jax.Array, angle_TxK2: np.ndarray, first: Any = None) -> jax.Array:
    """`x_BxTxHxK` with its channel pairs rotated by `angle_TxK2`.

    With `first`, T positions that start there use their rows of a longer table.
    """
    half = (*x_BxTxHxK.shape[:-1], x_BxTxHxK.shape[-1] // 2)

    def table(function: Callable[[np.ndarray], np.ndarray]) -> jax.Array:
        values_TxK2 = jnp.asarray(function(angle_TxK2), x_BxTxHxK.dtype)
        if first is not None:
            values_TxK2 = jax.lax.dynamic_slice_in_dim(values_TxK2, first, half[1])
        return jnp.broadcast_to(values_TxK2[None, :, None, :], half)

    cos, sin = table(np.cos), table(np.sin)
    first, second = jnp.split(x_BxTxHxK, 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
