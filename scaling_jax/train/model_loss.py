"""The model of a run and its losses, as pure functions of parameters and tokens."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from scaling_jax.architectures import architecture_of, own
from scaling_jax.config import BatchRamp, Dropout, OptimizerConfig, Precision, Shape
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.model import chunked_losses, mean_loss, token_losses
from scaling_jax.model.kernels import KERNELS
from scaling_jax.model.partition import constrain
from scaling_jax.model.stacking import unstack_layers
from scaling_jax.train.optimizer import make_optimizer


@dataclass(frozen=True)
class ModelSpec:
    """Everything that a compiled program depends on besides the shapes of its arguments."""

    shape: Shape
    optimizer: OptimizerConfig
    precision: Precision
    parameterization: Parameterization = STANDARD
    execution: Execution = DEFAULT
    dropout: Dropout = NO_DROPOUT
    batch_ramp: BatchRamp | None = None

    def gradient_transformation(self) -> optax.GradientTransformation:
        """The optimizer without a learning rate."""
        return make_optimizer(self.optimizer, self.shape, self.parameterization)

    def products(self) -> AbstractContextManager[None]:
        """A context in which traced matrix products have the precision of the run."""
        # JAX's default rounds the factors of float32 products on accelerators.
        if self.precision == "float32":
            return jax.default_matmul_precision("float32")
        return nullcontext()

    def model(self, key: jax.Array) -> Any:
        """A model initialized from `key`."""
        dtype = jnp.bfloat16 if self.precision == "bfloat16" else jnp.float32
        if self.shape.module is not None:
            return own.build(self.shape, key, dtype)
        return architecture_of(self.shape).model_class()(
            self.shape,
            rngs=nnx.Rngs(params=key),
            parameterization=self.parameterization,
            dtype=dtype,
            scan_layers=bool(self.execution.scan_layers),
            remat=self.execution.policy,
            attend=KERNELS[self.execution.attention or "xla"],
            dropout=self.dropout,
        )


def make_loss(spec: ModelSpec) -> Callable[[Any, jax.Array], jax.Array]:
    """A function from (params, `tokens_BxT1`) to the mean loss of each sequence, `loss_B`."""
    loss_BxT = make_token_loss(spec)
    return lambda params, tokens_BxT1: loss_BxT(params, tokens_BxT1).mean(axis=-1)


def make_token_loss(spec: ModelSpec) -> Callable[[Any, jax.Array], jax.Array]:
    """A function from (params, `tokens_BxT1`) to the loss of each target, `loss_BxT`."""
    losses = make_head(spec, chunked_losses)
    return lambda params, tokens_BxT1: losses(params, tokens_BxT1)[0]


def make_head(
    spec: ModelSpec, head: Callable[..., Any]
) -> Callable[..., tuple[Any, jax.Array | None]]:
    """A function from (params, `tokens_BxT1`) to the result of `head` and the experts' balance.

    `head` gets features, output matrix, targets and the number of chunks. The balance is None for
    a dense model. With a third argument `key_B`, values are dropped.
    """
    graph = nnx.split(nnx.eval_shape(lambda: spec.model(jax.random.key(0))))[0]
    n_chunks = spec.execution.loss_chunks or 1

    def apply(
        params: Any, tokens_BxT1: jax.Array, key_B: jax.Array | None = None
    ) -> tuple[Any, jax.Array | None]:
        if not spec.execution.scan_layers:
            params = unstack_layers(params)
        model, targets_BxT = nnx.merge(graph, params), tokens_BxT1[:, 1:]
        if spec.shape.module is not None:
            logits_BxTxV = constrain(model(tokens_BxT1[:, :-1]), "batch")
            return _head_of_logits(head, logits_BxTxV, targets_BxT), None
        x_NxD, balance = model.features_and_balance(tokens_BxT1[:, :-1], key_B)
        x_BxTxD = x_NxD.reshape(*targets_BxT.shape, -1)
        return head(x_BxTxD, model.output_matrix, targets_BxT, n_chunks), balance

    return apply


def _head_of_logits(
    head: Callable[..., Any], logits_BxTxV: jax.Array, targets_BxT: jax.Array
) -> Any:
    """The result of `head` for a user's own module, which gives logits instead of features."""
    if head is chunked_losses:
        return token_losses(logits_BxTxV, targets_BxT)
    if head is mean_loss:
        return token_losses(logits_BxTxV, targets_BxT).mean()
    same_VxV = jnp.eye(logits_BxTxV.shape[-1], dtype=logits_BxTxV.dtype)
    return head(logits_BxTxV, same_VxV, targets_BxT, 1)
