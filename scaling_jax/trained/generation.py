"""Sampling of tokens, one after another, with cached keys and values."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.model import Transformer
from scaling_jax.model.rotary import angles, rotate_by

_FAR_BELOW = np.float32(-1e30)


def continued(
    model: Transformer,
    ids: list[int],
    n_tokens: int,
    temperature: float,
    seed: int,
    n_ids: int,
    cached: bool = True,
    shape: Shape | None = None,
) -> list[int]:
    """`ids` and `n_tokens` sampled tokens after them, each one of the first `n_ids` token ids.

    A token is drawn from the softmax of the logits divided by `temperature`; at temperature 0 it is
    the likeliest. Once the model's context is full, its second half becomes the context. With
    `cached`, the keys and values of earlier positions are kept instead of computed again; experts
    with a limited capacity always compute them again, since which expert is full depends on the
    whole sequence. Architectures other than the transformer always compute everything again.
    A user's own module does not hold its `shape`, which is given then.
    """
    graph, params = nnx.split(model)
    shape = shape or model.shape
    seq_len = shape.seq_len
    cached = cached and shape.is_dense and shape.architecture == "transformer"
    ids, end = list(ids), len(ids) + n_tokens
    while len(ids) < end:
        start = 0 if len(ids) <= seq_len else len(ids) - max(1, seq_len // 2)
        given = ids[start:]
        total = min(seq_len + 1, end - start)
        padded = np.zeros(seq_len + 1, np.int32)
        padded[: len(given)] = given
        sampled = _sampled(
            graph,
            params,
            jnp.asarray(padded),
            jnp.int32(len(given)),
            jnp.int32(total),
            jnp.float32(temperature),
            jax.random.fold_in(jax.random.key(seed), start),
            n_ids,
            cached,
        )
        ids = ids[:start] + [int(i) for i in np.asarray(sampled)[:total]]
    return ids


@partial(jax.jit, static_argnums=(0, 7, 8))
def _sampled(
    graph: Any,
    params: Any,
    tokens_T1: jax.Array,
    n_given: jax.Array,
    n_total: jax.Array,
    temperature: jax.Array,
    key: jax.Array,
    n_ids: int,
    cached: bool,
) -> jax.Array:
    """`tokens_T1`, of which the first `n_given` are given, with tokens up to `n_total` sampled."""

    def step(t: jax.Array, carry: Any) -> Any:
        tokens_T1, cache = carry
        model = nnx.merge(graph, params)
        if cached:
            logits_V, cache = cached_logits(model, tokens_T1[t], t, cache)
        else:
            logits_V = model(tokens_T1[None, :-1])[0, t]
        allowed_V = jnp.where(jnp.arange(logits_V.size) < n_ids, logits_V, _FAR_BELOW)
        # At temperature 0 the division is by 1, and its result is not used.
        scaled_V = allowed_V / jnp.where(temperature > 0, temperature, 1.0)
        drawn = jax.random.categorical(jax.random.fold_in(key, t), scaled_V)
        token = jnp.where(temperature > 0, drawn, allowed_V.argmax()).astype(jnp.int32)
        token = jnp.where(t + 1 < n_given, tokens_T1[t + 1], token)
        return tokens_T1.at[t + 1].set(token), cache

    with jax.default_matmul_precision("float32"):
        cache = empty_cache(nnx.merge(graph, params)) if cached else ()
        return jax.lax.fori_loop(0, n_total - 1, step, (tokens_T1, cache))[0]


def empty_cache(model: Transformer) -> Any:
    """Keys and values of every layer, `2xTxGxK` each, for a sequence of the whole context."""
    shape = model.shape
    dims = (2, shape.seq_len, shape.kv_heads, shape.head_size)
    return tuple(jnp.zeros(dims, model.dtype) for _ in range(shape.n_layers))


def cached_logits(
    model: Transformer, token: jax.Array, t: jax.Array, cache: Any
) -> tuple[jax.Array, Any]:
    """Float32 `logits_V` of the token after `token` at position `t`, and the cache with it.

    `cache` holds the keys and values of the positions before `t`.
    """
    x_NxD, grown = model.embed(token[None, None], t), []
    for block, kept_2xTxGxK in zip(model.blocks, cache, strict=True):
        attend = _OnePosition(model, kept_2xTxGxK, t)
        x_NxD, _ = block(x_NxD, 1, attend)
        grown.append(attend.kept_2xTxGxK)
    x_NxD = model.final_norm(x_NxD) * model.scales.logits
    logits_NxV = jnp.matmul(
        x_NxD, model.output_matrix.astype(model.dtype), preferred_element_type=jnp.float32
    )
    return logits_NxV[0], tuple(grown)


class _OnePosition:
    """An attention kernel for the one position `t`, which adds its key and value to a cache."""

    def __init__(self, model: Transformer, kept_2xTxGxK: jax.Array, t: jax.Array) -> None:
        self.model, self.kept_2xTxGxK, self.t = model, kept_2xTxGxK, t

    def __call__(
        self, q_1x1xHxK: jax.Array, k_1x1xGxK: jax.Array, v_1x1xGxK: jax.Array
    ) -> jax.Array:
        """Attention `y_1x1xHxK` of position `t` over itself and the positions before it."""
        shape = self.model.shape
        if shape.positions == "rotary":
            # The model has rotated a sequence of one position by the angle 0, a no-op.
            table = angles(shape.seq_len, shape.head_size)
            q_1x1xHxK, k_1x1xGxK = (rotate_by(x, table, self.t) for x in (q_1x1xHxK, k_1x1xGxK))
        new_2x1xGxK = jnp.concatenate([k_1x1xGxK, v_1x1xGxK])
        self.kept_2xTxGxK = jax.lax.dynamic_update_slice_in_dim(
            self.kept_2xTxGxK, new_2x1xGxK, self.t, axis=1
        )
        k_TxGxK, v_TxGxK = self.kept_2xTxGxK
        q_GxRxK = q_1x1xHxK.reshape(shape.kv_heads, -1, shape.head_size)
        scores_GxRxT = jnp.einsum("grk,tgk->grt", q_GxRxK, k_TxGxK) * shape.head_size**-0.5
        visible_T = jnp.arange(shape.seq_len) <= self.t
        scores_GxRxT = jnp.where(visible_T[None, None], scores_GxRxT, _FAR_BELOW)
        y_GxRxK = jnp.einsum("grt,tgk->grk", jax.nn.softmax(scores_GxRxT), v_TxGxK)
        return y_GxRxK.reshape(q_1x1xHxK.shape)
