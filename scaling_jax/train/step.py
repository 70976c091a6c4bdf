"""The training step, the held-out evaluation and the initial state, as pure functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from scaling_jax.config import OptimizerConfig, Precision, Shape
from scaling_jax.model import Transformer, token_losses
from scaling_jax.parameterization import STANDARD, Parameterization
from scaling_jax.train.execution import DEFAULT, Execution
from scaling_jax.train.optimizer import make_optimizer
from scaling_jax.train.schedule import Horizon, learning_rate

State = dict[str, Any]


class StepMetrics(NamedTuple):
    """Per step, float32: training loss (nats/token), learning rate, gradient norm."""

    loss: jax.Array
    lr: jax.Array
    grad_norm: jax.Array


@dataclass(frozen=True)
class ModelSpec:
    """What a compiled program depends on besides its array shapes."""

    shape: Shape
    optimizer: OptimizerConfig
    precision: Precision
    parameterization: Parameterization = STANDARD
    execution: Execution = DEFAULT

    def gradient_transformation(self) -> optax.GradientTransformation:
        """The optimizer without its learning rate."""
        return make_optimizer(self.optimizer, self.shape, self.parameterization)

    def transformer(self, key: jax.Array) -> Transformer:
        """A freshly initialized model."""
        return Transformer(
            self.shape,
            rngs=nnx.Rngs(params=key),
            parameterization=self.parameterization,
            dtype=jnp.dtype(self.precision),
            scan_layers=bool(self.execution.scan_layers),
            remat=self.execution.remat,
        )


def init_state(spec: ModelSpec, key: jax.Array) -> State:
    """Parameters, optimizer moments and the step counter of a new run."""
    params = nnx.to_pure_dict(nnx.split(spec.transformer(key))[1])
    moments = spec.gradient_transformation().init(params)
    return {"params": params, "opt": moments, "step": jnp.int32(0)}


def make_loss(spec: ModelSpec) -> Callable[[Any, jax.Array], jax.Array]:
    """Function from (params, `tokens_BxT1`) to per-sequence mean losses `loss_B`."""
    graph = nnx.split(nnx.eval_shape(lambda: spec.transformer(jax.random.key(0))))[0]

    def loss(params: Any, tokens_BxT1: jax.Array) -> jax.Array:
        logits_BxTxV = nnx.merge(graph, params)(tokens_BxT1[:, :-1])
        return token_losses(logits_BxTxV, tokens_BxT1[:, 1:]).mean(axis=-1)

    return loss


def make_step(spec: ModelSpec) -> Callable[[State, jax.Array, Horizon], tuple[State, StepMetrics]]:
    """One update on the batch `tokens_BxT1`."""
    loss_B, optimizer = make_loss(spec), spec.gradient_transformation()

    def step(state: State, tokens_BxT1: jax.Array, horizon: Horizon) -> tuple[State, StepMetrics]:
        loss, grads = jax.value_and_grad(lambda p: loss_B(p, tokens_BxT1).mean())(state["params"])
        # Optax mixes its integer step count into float32 arithmetic.
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(grads, state["opt"], state["params"])
        lr = learning_rate(state["step"], horizon, spec.optimizer.schedule)
        params = jax.tree.map(lambda p, u: p - lr * u, state["params"], updates)
        new_state = {"params": params, "opt": moments, "step": state["step"] + 1}
        return new_state, StepMetrics(loss, lr, optax.tree.norm(grads))

    return step


def make_steps(
    spec: ModelSpec,
) -> Callable[[State, jax.Array, jax.Array, Horizon], tuple[State, StepMetrics]]:
    """The first `count` of K updates in one dispatch, on `tokens_KxBxT1`.

    Stops early at a non-finite loss, leaving the state as it then is. Metrics have length K;
    entries past the last step taken are NaN.
    """
    step = make_step(spec)

    def steps(
        state: State, tokens_KxBxT1: jax.Array, count: jax.Array, horizon: Horizon
    ) -> tuple[State, StepMetrics]:
        blank = jnp.full(tokens_KxBxT1.shape[0], jnp.nan, jnp.float32)

        def go_on(carry: Any) -> jax.Array:
            i, _, _, healthy = carry
            return (i < count) & healthy

        def body(carry: Any) -> Any:
            i, state, metrics, _ = carry
            state, new = step(state, tokens_KxBxT1[i], horizon)
            metrics = jax.tree.map(lambda all_, one: all_.at[i].set(one), metrics, new)
            return i + 1, state, metrics, jnp.isfinite(new.loss) & jnp.isfinite(new.grad_norm)

        start = (jnp.int32(0), state, StepMetrics(blank, blank, blank), jnp.bool_(True))
        _, state, metrics, _ = jax.lax.while_loop(go_on, body, start)
        return state, metrics

    return steps


def make_evaluation(spec: ModelSpec) -> Callable[[Any, jax.Array], jax.Array]:
    """Mean loss of every sequence of `tokens_KxBxT1`, as `loss_KxB` in float32."""
    loss_B = make_loss(spec)

    def evaluate(params: Any, tokens_KxBxT1: jax.Array) -> jax.Array:
        return jax.lax.map(lambda tokens_BxT1: loss_B(params, tokens_BxT1), tokens_KxBxT1)

    return evaluate
