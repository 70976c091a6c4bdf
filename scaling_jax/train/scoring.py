"""Log-likelihoods of continuations, by one program for each padded length."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig, Shape
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.data.requests import Request
from scaling_jax.execution import DEFAULT, Execution, fewest_loss_chunks
from scaling_jax.model.loss import chunked_losses_and_ranks
from scaling_jax.runs.task_score import Likelihoods
from scaling_jax.train import mesh as layout
from scaling_jax.train.evaluate import evaluation_batch, padded_batches
from scaling_jax.train.model_loss import ModelSpec, make_head
from scaling_jax.train.traced import resolved_on, spec_of, state_of

# Requests are padded to a power of two from here on, or to the model's context.
_SHORTEST = 64


def padded_length(n_inputs: int, shape: Shape) -> int:
    """Number of positions that a request of `n_inputs` inputs is computed with.

    A mixture of experts has one length, since its experts' rows depend on it.
    """
    if not shape.is_dense:
        return shape.seq_len
    length = _SHORTEST
    while length < n_inputs:
        length *= 2
    return min(length, shape.seq_len)


def requests_flops(shape: Shape, requests: Sequence[Request]) -> int:
    """FLOPs of the forward passes of padded requests."""
    lengths = Counter(padded_length(len(request.tokens) - 1, shape) for request in requests)
    return sum(
        n * flops.forward_ops(dataclasses.replace(shape, seq_len=length)).total
        for length, n in lengths.items()
    )


class Scoring:
    """Scores requests with parameters of runs like `config` on `mesh`."""

    def __init__(self, config: RunConfig, mesh: Mesh, execution: Execution = DEFAULT) -> None:
        self._shape, self._mesh = config.shape, mesh
        self._spec = spec_of(config, resolved_on(mesh, execution, config))

    def compile(self, requests: Sequence[Request]) -> None:
        """Compile the programs that these requests need."""
        for length in {self._length(request) for request in requests}:
            self._program(length)

    def __call__(self, params: Any, requests: Sequence[Request]) -> Likelihoods:
        """The likelihoods of `requests`, in their order, computed in float32 and added in float64.

        A request has the same likelihood beside whatever other requests.
        """
        likelihood_N = np.zeros(len(requests))
        is_greedy_N = np.zeros(len(requests), bool)
        by_length = dict[int, list[int]]()
        for i, request in enumerate(requests):
            by_length.setdefault(self._length(request), []).append(i)
        for length, places in sorted(by_length.items()):
            tokens_NxT1 = np.stack([_padded(requests[i].tokens, length) for i in places])
            losses_NxT, is_best_NxT = self._positions(params, tokens_NxT1)
            for i, loss_T, is_best_T in zip(places, losses_NxT, is_best_NxT, strict=True):
                end = len(requests[i].tokens) - 1
                targets = slice(end - requests[i].n_targets, end)
                likelihood_N[i] = -loss_T[targets].sum(dtype=np.float64)
                is_greedy_N[i] = is_best_T[targets].all()
        return Likelihoods(likelihood_N, is_greedy_N)

    def _positions(self, params: Any, tokens_NxT1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        program, batch_size = self._program(tokens_NxT1.shape[1] - 1)
        rows = layout.local_rows(self._mesh, batch_size)
        found = []
        for tokens_BxT1 in padded_batches(tokens_NxT1, batch_size):
            batch = layout.put_batches(tokens_BxT1[None, rows], self._mesh, batch_size)
            found.append(tuple(map(np.asarray, program(params, batch))))
        losses, is_best = (
            np.concatenate(part)[: len(tokens_NxT1)] for part in zip(*found, strict=True)
        )
        return losses, is_best

    def _length(self, request: Request) -> int:
        return padded_length(len(request.tokens) - 1, self._shape)

    def _program(self, length: int) -> tuple[Any, int]:
        # The batch depends on the length alone: with another number of rows a matrix product may
        # add in another order.
        n_shares = layout.batch_shares(self._mesh)
        batch_size = evaluation_batch(2**62, length, n_shares)
        return _compiled(self._spec, length, batch_size, self._mesh), batch_size


def _padded(tokens: np.ndarray, length: int) -> np.ndarray:
    # A position sees only earlier ones, so what follows a request changes nothing.
    return np.pad(tokens, (0, length + 1 - len(tokens)))


def make_scoring(spec: ModelSpec) -> Any:
    """A function from (params, `tokens_1xBxT1`) to the loss and the rank of each target.

    Its results are float32 `loss_BxT` in nats, and `is_best_BxT`, whether the target is the token
    with the largest logit.
    """
    of_targets = make_head(spec, chunked_losses_and_ranks)

    def score(params: Any, tokens_1xBxT1: jax.Array) -> tuple[jax.Array, jax.Array]:
        with spec.products():
            return of_targets(params, tokens_1xBxT1[0])[0]

    return score


@cache
def _compiled(spec: ModelSpec, length: int, batch_size: int, mesh: Mesh) -> Any:
    platform = mesh.devices.flat[0].platform
    shape = dataclasses.replace(spec.shape, seq_len=length)
    execution = dataclasses.replace(
        spec.execution,
        # Plain products take sequences of any length, in float32.
        attention="xla",
        accumulate=1,
        steps_per_dispatch=1,
        loss_chunks=fewest_loss_chunks(shape, batch_size, platform, mesh.size),
    )
    spec = dataclasses.replace(
        spec, precision="float32", execution=execution, dropout=NO_DROPOUT, batch_ramp=None
    )
    params = state_of(spec, mesh)["params"]
    tokens = jax.ShapeDtypeStruct(
        (1, batch_size, length + 1), jnp.int32, sharding=layout.batch_sharding(mesh)
    )
    score = jax.jit(make_scoring(spec), out_shardings=layout.replicated(mesh))
    with layout.layout_rules(mesh):
        return score.lower(params, tokens).compile()
