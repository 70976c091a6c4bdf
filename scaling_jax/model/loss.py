"""Next-token cross-entropy in float32, computed without the logits of a whole batch in memory."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.model.partition import batch_sums
from scaling_jax.model.products import second_gradient


def token_losses(logits_BxTxV: jax.Array, targets_BxT: jax.Array) -> jax.Array:
    """Cross-entropy `loss_BxT` of each target, in nats per token."""
    logits_BxTxV = logits_BxTxV.astype(jnp.float32)
    log_normalizer_BxT = jax.nn.logsumexp(logits_BxTxV, axis=-1)
    target_BxTx1 = jnp.take_along_axis(logits_BxTxV, targets_BxT[..., None], axis=-1)
    return log_normalizer_BxT - target_BxTx1[..., 0]


def chunked_losses(
    x_BxTxD: jax.Array, output_DxV: jax.Array, targets_BxT: jax.Array, n_chunks: int
) -> jax.Array:
    """Cross-entropy `loss_BxT` of each target from features and the output matrix.

    The logits of `1 / n_chunks` of the positions are computed at a time.
    """

    def losses(x_BxCxD: jax.Array, targets_BxC: jax.Array) -> jax.Array:
        return token_losses(_logits(x_BxCxD, output_DxV), targets_BxC)

    chunks = _chunks(x_BxTxD, n_chunks), _chunks(targets_BxT, n_chunks)
    return _joined(jax.lax.map(lambda chunk: losses(*chunk), chunks))


def chunked_losses_and_ranks(
    x_BxTxD: jax.Array, output_DxV: jax.Array, targets_BxT: jax.Array, n_chunks: int
) -> tuple[jax.Array, jax.Array]:
    """`chunked_losses`, and `is_best_BxT`: whether a target is the token of the largest logit."""

    def of_chunk(chunk: Any) -> tuple[jax.Array, jax.Array]:
        x_BxCxD, targets_BxC = chunk
        logits_BxCxV = _logits(x_BxCxD, output_DxV)
        return token_losses(logits_BxCxV, targets_BxC), logits_BxCxV.argmax(-1) == targets_BxC

    chunks = _chunks(x_BxTxD, n_chunks), _chunks(targets_BxT, n_chunks)
    return jax.tree.map(_joined, jax.lax.map(of_chunk, chunks))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def mean_loss(
    x_BxTxD: jax.Array, output_DxV: jax.Array, targets_BxT: jax.Array, n_chunks: int
) -> jax.Array:
    """Mean cross-entropy over all targets, in nats per token; the mean of `chunked_losses`.

    The forward pass also computes the gradient, chunk by chunk, so logits are neither kept nor
    computed twice. A chunk is a part of every sequence, so that a batch that is sharded over
    devices stays where it is. Matrix products run in the dtype of `x_BxTxD`, all else in float32.
    """
    return chunked_losses(x_BxTxD, output_DxV, targets_BxT, n_chunks).mean()


def _mean_loss_forward(
    x_BxTxD: jax.Array, output_DxV: jax.Array, targets_BxT: jax.Array, n_chunks: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    sums = batch_sums(partial(_sums_over_chunks, n_chunks, 1 / targets_BxT.size))
    (loss, output_grad), x_grad = sums((x_BxTxD, targets_BxT), output_DxV)
    return loss / targets_BxT.size, (x_grad, output_grad)


def _sums_over_chunks(
    n_chunks: int, weight: float, batch: tuple[jax.Array, jax.Array], output_DxV: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """The sum of the losses, and the gradients of the output matrix and of the features."""

    def add(sums: Any, chunk: Any) -> Any:
        loss, x_grad_BxCxD, output_grad_DxV = _loss_and_grads(
            chunk[0], chunk[1], output_DxV, weight
        )
        return (sums[0] + loss, sums[1] + output_grad_DxV), x_grad_BxCxD

    chunks = jax.tree.map(lambda part: _chunks(part, n_chunks), batch)
    if n_chunks == 1:
        return add((0.0, 0.0), jax.tree.map(lambda part: part[0], chunks))
    sums, x_grads = jax.lax.scan(add, (jnp.float32(0), jnp.zeros_like(output_DxV)), chunks)
    return sums, _joined(x_grads)


def _mean_loss_backward(
    n_chunks: int, grads: tuple[jax.Array, jax.Array], loss_grad: jax.Array
) -> tuple[jax.Array, jax.Array, None]:
    x_grad_BxTxD, output_grad_DxV = grads
    return x_grad_BxTxD * loss_grad.astype(x_grad_BxTxD.dtype), output_grad_DxV * loss_grad, None


mean_loss.defvjp(_mean_loss_forward, _mean_loss_backward)


def _loss_and_grads(
    x_BxCxD: jax.Array, targets_BxC: jax.Array, output_DxV: jax.Array, weight: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The sum of a chunk's losses, and the gradients of its features and of the output matrix."""
    dtype, targets_N = x_BxCxD.dtype, targets_BxC.ravel()
    x_NxD, weights_DxV = x_BxCxD.reshape(targets_N.size, -1), output_DxV.astype(x_BxCxD.dtype)
    logits_NxV = _logits(x_NxD, output_DxV)
    log_normalizer_N = _log_normalizer(logits_NxV)
    is_target_NxV = jnp.arange(logits_NxV.shape[-1])[None] == targets_N[:, None]
    target_N = jnp.where(is_target_NxV, logits_NxV, 0.0).sum(-1)
    probability_NxV = jnp.exp(logits_NxV - log_normalizer_N[:, None])
    grad_NxV = jnp.where(is_target_NxV, probability_NxV - 1, probability_NxV) * np.float32(weight)
    grad_NxV = grad_NxV.astype(dtype)
    x_grad_NxD = jnp.matmul(grad_NxV, weights_DxV.T, preferred_element_type=dtype)
    loss = (log_normalizer_N - target_N).sum()
    return loss, x_grad_NxD.reshape(x_BxCxD.shape), second_gradient(x_NxD, grad_NxV)


def _log_normalizer(logits_NxV: jax.Array) -> jax.Array:
    by_rows = partial(jax.nn.logsumexp, axis=-1)
    return jax.lax.platform_dependent(logits_NxV, cuda=logsumexp_in_one_pass, default=by_rows)


def logsumexp_in_one_pass(logits_NxV: jax.Array) -> jax.Array:
    """`logsumexp` over the last axis in one pass; a GPU then reads the logits once, not twice."""

    def join(a: Any, b: Any) -> Any:
        (top_a, sum_a), (top_b, sum_b) = a, b
        top = jnp.maximum(top_a, top_b)
        return top, sum_a * jnp.exp(top_a - top) + sum_b * jnp.exp(top_b - top)

    parts = logits_NxV, jnp.ones_like(logits_NxV)
    nothing = np.float32(np.finfo(np.float32).min), np.float32(0)
    top_N, sum_N = jax.lax.reduce(parts, nothing, join, (logits_NxV.ndim - 1,))
    return top_N + jnp.log(sum_N)


def _logits(x: jax.Array, output_DxV: jax.Array) -> jax.Array:
    return jnp.matmul(x, output_DxV.astype(x.dtype), preferred_element_type=jnp.float32)


def _chunks(x_BxTx: jax.Array, n_chunks: int) -> jax.Array:
    """Equal parts of every sequence, stacked along a new leading axis."""
    b, t = x_BxTx.shape[:2]
    return x_BxTx.reshape(b, n_chunks, t // n_chunks, *x_BxTx.shape[2:]).swapaxes(0, 1)


def _joined(x_KxBxCx: jax.Array) -> jax.Array:
    n, b, c = x_KxBxCx.shape[:3]
    return x_KxBxCx.swapaxes(0, 1).reshape(b, n * c, *x_KxBxCx.shape[3:])
