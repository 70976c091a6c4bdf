"""Causal attention kernels, which all compute the same function.

`(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK) -> y_BxTxHxK`: softmax attention of each position over itself
and the positions before it. Scores are scaled by `1 / sqrt(K)`, and `H / G` query heads share a
key and a value.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.core.spmd import get_logical_axis_rules
from jax.sharding import PartitionSpec

from scaling_jax.model.dropout import factors
from scaling_jax.model.products import product, transposed

Kernel = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
Mask = Callable[[int, int, int], Any]

_FAR_BELOW = np.float32(-1e30)

# Rows and columns of a block of scores on a TPU core: the first of these that divides the sequence.
_SPLASH_BLOCKS = (512, 384, 256, 128)

# Sequences of at least this length have four blocks in blocked attention; shorter ones have two.
_FOUR_BLOCKS_FROM = 512


def causal_attention(q_BxTxHxK: jax.Array, k_BxTxGxK: jax.Array, v_BxTxGxK: jax.Array) -> jax.Array:
    """Causal attention by plain matrix products, with the softmax in float32.

    Returns `y_BxTxHxK` in the dtype of the values.
    """
    return _attention_in_blocks(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, 1, _computed_mask)


def blocked_attention(
    q_BxTxHxK: jax.Array, k_BxTxGxK: jax.Array, v_BxTxGxK: jax.Array
) -> jax.Array:
    """Causal attention in blocks of positions, which skip most masked scores; for CPUs."""
    # More blocks skip more scores, but products of small blocks are slower. Measured on two cores,
    # a step of a float32 model is 1.05 times as fast with two blocks as with one at 128 positions,
    # 1.02 times at 256, and 1.07 to 1.25 times with four blocks at 512.
    t = q_BxTxHxK.shape[1]
    n_blocks = math.gcd(t, 2 if t < _FOUR_BLOCKS_FROM else 4)
    return _attention_in_blocks(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, n_blocks, _stored_mask)


def _attention_in_blocks(
    q_BxTxHxK: jax.Array,
    k_BxTxGxK: jax.Array,
    v_BxTxGxK: jax.Array,
    n_blocks: int,
    mask: Mask,
    factor_GxMxT: jax.Array | None = None,
) -> jax.Array:
    """Causal attention in which a block of positions computes no scores with later blocks.

    The softmax weights of a single block are multiplied by `factor_GxMxT`.
    """
    b, t, g, k = k_BxTxGxK.shape
    k_GxTxK, v_GxTxK = (
        x_BxTxGxK.transpose(0, 2, 1, 3).reshape(b * g, t, k) for x_BxTxGxK in (k_BxTxGxK, v_BxTxGxK)
    )
    k_GxKxT = transposed(k_GxTxK)
    s = t // n_blocks
    q_nxBxSxHxK = jax.lax.split(q_BxTxHxK, [s] * n_blocks, axis=1)
    y_nxBxSxHxK = [
        _attend_up_to(q_BxSxHxK, k_GxKxT[..., :end], v_GxTxK[:, :end], mask, factor_GxMxT)
        for q_BxSxHxK, end in zip(q_nxBxSxHxK, range(s, t + 1, s), strict=True)
    ]
    return jnp.concatenate(y_nxBxSxHxK, axis=1)


def _attend_up_to(
    q_BxSxHxK: jax.Array,
    k_GxKxU: jax.Array,
    v_GxUxK: jax.Array,
    mask: Mask,
    factor_GxMxU: jax.Array | None,
) -> jax.Array:
    """The attention output `y_BxSxHxK` of the last S of U positions."""
    b, s, h, k = q_BxSxHxK.shape
    n_groups = k_GxKxU.shape[0] // b
    # The query heads of a group are stacked as rows, so that each group is one matrix product.
    q_GxMxK = _group_rows(q_BxSxHxK * np.asarray(k**-0.5, q_BxSxHxK.dtype), n_groups)
    weights_GxMxU, total_GxMx1 = _causal_weights(product(q_GxMxK, k_GxKxU), s, mask)
    if factor_GxMxU is not None:
        weights_GxMxU = weights_GxMxU * factor_GxMxU
    y_GxMxK = product(weights_GxMxU.astype(v_GxUxK.dtype), v_GxUxK)
    # Normalizing after the product divides K columns instead of U.
    y_GxMxK = (y_GxMxK / total_GxMx1).astype(v_GxUxK.dtype)
    return y_GxMxK.reshape(b, h, s, k).transpose(0, 2, 1, 3)


def _group_rows(q_BxSxHxK: jax.Array, n_groups: int) -> jax.Array:
    b, s, h, k = q_BxSxHxK.shape
    return q_BxSxHxK.transpose(0, 2, 1, 3).reshape(b * n_groups, h // n_groups * s, k)


def _causal_weights(scores_GxMxU: jax.Array, s: int, mask: Mask) -> tuple[jax.Array, jax.Array]:
    """Unnormalized softmax weights and their row sums; row i is position `U - S + i % S`."""
    m, e = scores_GxMxU.shape[1:]
    masked = scores_GxMxU + jnp.broadcast_to(mask(m, e, s), scores_GxMxU.shape)
    # The maximum prevents overflow and cancels in the result, so it needs no gradient.
    weights = jnp.exp(masked - jax.lax.stop_gradient(masked.max(-1, keepdims=True)))
    return weights, weights.sum(-1, keepdims=True)


def _computed_mask(m: int, e: int, s: int) -> jax.Array:
    """`mask_1xMxU`, added to scores: 0 where the key is visible, and -1e30 elsewhere."""
    row_MxU, column_MxU = (jax.lax.broadcasted_iota(jnp.int32, (m, e), i) for i in (0, 1))
    return jnp.where(column_MxU <= row_MxU % s + (e - s), np.float32(0), _FAR_BELOW)[None]


@lru_cache(maxsize=8)
def _stored_mask(m: int, e: int, s: int) -> np.ndarray:
    """`_computed_mask` as a constant in memory."""
    # A CPU reads the mask faster than it computes it. Compilers for accelerators take minutes for
    # a constant of this size in every layer.
    visible_MxU = np.tile(np.tri(s, e, e - s, dtype=bool), (m // s, 1))
    return np.where(visible_MxU, np.float32(0), _FAR_BELOW)[None]


def attention_with_dropout(rate: float) -> Callable[..., jax.Array]:
    """`causal_attention` that drops a share `rate` of the softmax weights.

    Its fourth argument is a key for each sequence and key/value head, `key_BxG`.
    """

    def attend(
        q_BxTxHxK: jax.Array, k_BxTxGxK: jax.Array, v_BxTxGxK: jax.Array, key_BxG: jax.Array
    ) -> jax.Array:
        (t, h), g = q_BxTxHxK.shape[1:3], key_BxG.shape[1]
        factor_BxGxMxT = factors(rate, key_BxG, h // g * t, t)
        factor_GxMxT = factor_BxGxMxT.reshape(-1, h // g * t, t)
        return _attention_in_blocks(
            q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, 1, _computed_mask, factor_GxMxT
        )

    return on_shards(attend)


def cudnn_attention(q_BxTxHxK: jax.Array, k_BxTxGxK: jax.Array, v_BxTxGxK: jax.Array) -> jax.Array:
    """Flash attention by NVIDIA's cuDNN, for bfloat16 arrays on a GPU."""
    return jax.nn.dot_product_attention(
        q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, is_causal=True, implementation="cudnn"
    )


def splash_attention(
    q_BxTxHxK: jax.Array, k_BxTxGxK: jax.Array, v_BxTxGxK: jax.Array, *, interpret: bool = False
) -> jax.Array:
    """Flash attention by JAX's splash kernel, for a TPU; T must be a multiple of 128.

    `interpret` runs the kernel on any platform, slowly.
    """
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    t, h, k = q_BxTxHxK.shape[1:]
    block = next(size for size in _SPLASH_BLOCKS if t % size == 0)
    attend = splash.make_splash_mha(
        splash.MultiHeadMask([splash.CausalMask((t, t))] * h),
        block_sizes=splash.BlockSizes(
            block_q=block,
            block_kv=block,
            block_kv_compute=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_kv_dkv_compute=block,
            block_q_dq=block,
            block_kv_dq=block,
        ),
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
    q_BxHxTxK = (q_BxTxHxK * np.asarray(k**-0.5, q_BxTxHxK.dtype)).swapaxes(1, 2)
    y_BxHxTxK = jax.vmap(attend)(q_BxHxTxK, k_BxTxGxK.swapaxes(1, 2), v_BxTxGxK.swapaxes(1, 2))
    return y_BxHxTxK.swapaxes(1, 2)


def tokamax_attention(
    q_BxTxHxK: jax.Array, k_BxTxGxK: jax.Array, v_BxTxGxK: jax.Array
) -> jax.Array:
    """Flash attention by the kernel of the package tokamax for this device."""
    import tokamax

    return tokamax.dot_product_attention(q_BxTxHxK, k_BxTxGxK, v_BxTxGxK, is_causal=True)


def on_shards(kernel: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """`kernel` on each device's own sequences and heads, if logical axis rules are active.

    It is for kernels that XLA cannot shard, or before which XLA would gather the heads.
    """

    def attend(*arrays: jax.Array) -> jax.Array:
        rules = dict(get_logical_axis_rules())
        if not rules:
            return kernel(*arrays)
        batch, heads = rules.get("batch"), rules.get("heads")
        split = PartitionSpec(batch, None, heads)
        specs = (split,) * 3 + (PartitionSpec(batch, heads),) * (len(arrays) - 3)
        on_each = jax.shard_map(kernel, in_specs=specs, out_specs=split, check_vma=False)
        return on_each(*arrays)

    return attend


KERNELS: dict[str, Kernel] = {
    "xla": on_shards(causal_attention),
    "blocks": on_shards(blocked_attention),
    "cudnn": cudnn_attention,
    "splash": on_shards(splash_attention),
    "tokamax": on_shards(tokamax_attention),
}
