"""Held-out evaluation as a pure function of parameters and tokens."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax

from scaling_jax.config import Shape
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.model.partition import n_shares
from scaling_jax.train.model_loss import ModelSpec, make_loss, make_token_loss
from scaling_jax.train.step import microbatches

# Bytes of a layer's float32 attention scores that evaluation may hold if it cannot use the kernel
# of training, which never holds all scores.
_SCORES_BYTES = 2**31


def make_evaluation(spec: ModelSpec) -> Callable[[Any, jax.Array], jax.Array]:
    """Mean loss of every sequence of `tokens_KxBxT1`, as `loss_KxB`, all of it in float32.

    All sequences of a batch are evaluated together, or fewer at a time where training has a kernel
    for attention that evaluation must do without.
    """
    return _make_evaluation(spec, make_loss, lambda loss_KxM: loss_KxM.T.ravel())


def make_token_evaluation(spec: ModelSpec) -> Callable[[Any, jax.Array], jax.Array]:
    """The loss of every target of `tokens_KxBxT1`, as `loss_KxBxT`; otherwise `make_evaluation`."""

    def joined(loss_KxMxT: jax.Array) -> jax.Array:
        return loss_KxMxT.swapaxes(0, 1).reshape(-1, loss_KxMxT.shape[-1])

    return _make_evaluation(spec, make_token_loss, joined)


def _make_evaluation(
    spec: ModelSpec,
    make: Callable[[ModelSpec], Callable[[Any, jax.Array], jax.Array]],
    joined: Callable[[jax.Array], jax.Array],
) -> Callable[[Any, jax.Array], jax.Array]:
    """The losses that `make` computes, of all batches; `joined` undoes the microbatches."""
    execution, largest = spec.execution, None
    if execution.attention == "cudnn":  # It has no float32.
        execution = replace(execution, attention="xla")
        largest = _sequences_whose_scores_fit(spec.shape)
    spec = replace(spec, precision="float32", execution=execution, dropout=NO_DROPOUT)
    losses = make(spec)

    def of_batch(params: Any, tokens_BxT1: jax.Array) -> jax.Array:
        n_sequences, n_devices = tokens_BxT1.shape[0], n_shares("batch")
        n_pieces = _pieces(n_sequences // n_devices, largest)
        pieces = microbatches(tokens_BxT1, n_pieces)
        return joined(jax.lax.map(lambda tokens_MxT1: losses(params, tokens_MxT1), pieces))

    def evaluate(params: Any, tokens_KxBxT1: jax.Array) -> jax.Array:
        with spec.products():
            return jax.lax.map(lambda tokens_BxT1: of_batch(params, tokens_BxT1), tokens_KxBxT1)

    return evaluate


def _sequences_whose_scores_fit(shape: Shape) -> int:
    return max(1, _SCORES_BYTES // (4 * shape.n_heads * shape.seq_len**2))


def _pieces(n_sequences: int, largest: int | None) -> int:
    """The smallest number of equal pieces of a device's sequences with at most `largest` each."""
    at_most = n_sequences if largest is None else largest
    counts = (n for n in range(1, n_sequences + 1) if n_sequences % n == 0)
    return next((n for n in counts if n_sequences // n <= at_most), n_sequences)
