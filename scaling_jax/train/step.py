"""The training step, the held-out evaluation and the initial state, as pure functions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from scaling_jax.model import mean_loss
from scaling_jax.model.dropout import sequence_keys
from scaling_jax.train.model_loss import ModelSpec, make_head
from scaling_jax.train.optimizer import scale_matrices
from scaling_jax.train.schedule import Horizon, learning_rate

State = dict[str, Any]


class StepMetrics(NamedTuple):
    """Float32 metrics of each step: training loss (nats/token), learning rate, gradient norm.

    Those of a step with several updates are the mean loss, the last rate and the largest norm.
    """

    loss: jax.Array
    lr: jax.Array
    grad_norm: jax.Array


def init_state(spec: ModelSpec, key: jax.Array) -> State:
    """Parameters, optimizer moments and step counter of a new run, with stacked layers."""
    spec = replace(spec, execution=replace(spec.execution, scan_layers=True))
    params = _scaled(nnx.to_pure_dict(nnx.split(spec.model(key))[1]), spec)
    moments = spec.gradient_transformation().init(params)
    state = {"params": params, "opt": moments, "step": jnp.int32(0)}
    return state | {"average": params} if spec.optimizer.averages else state


def weights_of(state: State) -> Any:
    """The parameters that the model of a run has: their average, if the run averages them.

    Before the averaging begins they are those of the last step.
    """
    return state.get("average", state["params"])


def _scaled(params: Any, spec: ModelSpec) -> Any:
    """`params` with matrices and tables multiplied by the run's `init_scale`."""
    scale = spec.parameterization.init_scale
    return params if scale == 1 else scale_matrices(params, scale)


def make_gradient(spec: ModelSpec) -> Callable[..., tuple[jax.Array, Any]]:
    """A function from (params, `tokens_BxT1`) to the mean loss and the gradient of the objective.

    With a third argument `key_B`, a key for each sequence, values are dropped. The objective is the
    loss, plus `balance_weight` times the balance in a mixture of experts. The gradients of
    `accumulate` microbatches are computed one after another and averaged.
    """
    objective = jax.value_and_grad(_make_objective(spec), has_aux=True)
    n = spec.execution.microbatches

    def of_microbatch(params: Any, *batch: Any) -> tuple[jax.Array, Any]:
        (_, loss), grads = objective(params, *batch)
        return loss, grads

    def gradient(
        params: Any, tokens_BxT1: jax.Array, key_B: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        batch = tokens_BxT1, key_B
        if n == 1:
            return of_microbatch(params, *batch)

        def add(sums: Any, microbatch: Any) -> Any:
            return jax.tree.map(jnp.add, sums, of_microbatch(params, *microbatch)), None

        zeros = jnp.float32(0), jax.tree.map(jnp.zeros_like, params)
        sums, _ = jax.lax.scan(add, zeros, microbatches(batch, n))
        return jax.tree.map(lambda total: total / n, sums)

    return gradient


def _make_objective(spec: ModelSpec) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """A function from (params, `tokens_BxT1`) to the objective and the loss without the balance."""
    of_batch = make_head(spec, mean_loss)

    def objective(
        params: Any, tokens_BxT1: jax.Array, key_B: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        loss, balance = of_batch(params, tokens_BxT1, key_B)
        if balance is None:
            return loss, loss
        return loss + spec.optimizer.balance_weight * balance, loss

    return objective


def microbatches(batch: Any, n: int) -> Any:
    """`n` microbatches of every n-th sequence, so that each device holds a part of each of them."""
    return jax.tree.map(lambda x_Bx: x_Bx.reshape(-1, n, *x_Bx.shape[1:]).swapaxes(0, 1), batch)


def make_step(spec: ModelSpec) -> Callable[[State, jax.Array, Horizon], tuple[State, StepMetrics]]:
    """A function that takes one step on the batch `tokens_BxT1`.

    A step is one update of the optimizer, or `factor` of them in the first part of a batch ramp.
    """
    update, ramp = _make_update(spec), spec.batch_ramp

    def step(state: State, tokens_BxT1: jax.Array, horizon: Horizon) -> tuple[State, StepMetrics]:
        with spec.products():
            state, metrics = in_precision(state, tokens_BxT1, horizon)
        if horizon.average_after is not None:
            state = _with_average(state, horizon.average_after)
        return state, metrics

    def in_precision(
        state: State, tokens_BxT1: jax.Array, horizon: Horizon
    ) -> tuple[State, StepMetrics]:
        key_B = None
        if horizon.seed is not None:
            key_B = sequence_keys(horizon.seed, state["step"], tokens_BxT1.shape[0])
        batch = tokens_BxT1, key_B
        if ramp is None:
            return update(state, batch, horizon, state["step"])
        return jax.lax.cond(
            state["step"] < horizon.ramp_steps,
            lambda state: _several_updates(update, ramp.factor, state, batch, horizon),
            lambda state: update(state, batch, horizon, state["step"]),
            state,
        )

    return step


def _with_average(state: State, after: jax.Array) -> State:
    """`state` with its parameters in the mean of those of the steps beyond `after`."""
    count = state["step"] - after
    share = 1 / jnp.maximum(count, 1).astype(jnp.float32)

    def mean(average: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(count <= 1, new, average + share * (new - average))

    return state | {"average": jax.tree.map(mean, state["average"], state["params"])}


def _several_updates(
    update: Callable[..., tuple[State, StepMetrics]],
    n: int,
    state: State,
    batch: Any,
    horizon: Horizon,
) -> tuple[State, StepMetrics]:
    """One step of `n` updates, each on every n-th sequence of the batch."""
    step = state["step"]

    def one(state: State, part: Any) -> tuple[State, StepMetrics]:
        done, microbatch = part
        # The update ends with the tokens of this many steps.
        at = step.astype(jnp.float32) + (done + 1) / n - 1
        state, metrics = update(state, microbatch, horizon, at)
        return {**state, "step": step}, metrics

    parts = jnp.arange(n, dtype=jnp.float32), microbatches(batch, n)
    state, each = jax.lax.scan(one, state, parts)
    metrics = StepMetrics(each.loss.mean(), each.lr[-1], each.grad_norm.max())
    return {**state, "step": step + 1}, metrics


def _make_update(spec: ModelSpec) -> Callable[..., tuple[State, StepMetrics]]:
    """A function of a state, a batch, a horizon and the step that gives the learning rate."""
    gradient, optimizer = make_gradient(spec), spec.gradient_transformation()

    def update(
        state: State, batch: Any, horizon: Horizon, at: jax.Array
    ) -> tuple[State, StepMetrics]:
        loss, grads = gradient(state["params"], *batch)
        # Optax mixes its integer step count into float32 arithmetic.
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(grads, state["opt"], state["params"])
        lr = learning_rate(at, horizon, spec.optimizer.schedule)
        params = jax.tree.map(lambda p, u: p - lr * u, state["params"], updates)
        new_state = state | {"params": params, "opt": moments, "step": state["step"] + 1}
        return new_state, StepMetrics(loss, lr, optax.tree.norm(grads))

    return update


def make_steps(
    spec: ModelSpec,
) -> Callable[[State, jax.Array, jax.Array, Horizon], tuple[State, StepMetrics]]:
    """A function that takes the first `count` of K optimizer steps on `tokens_KxBxT1`.

    It stops early after a step with a non-finite loss or gradient. Metrics have length K; entries
    after the last step taken are NaN.
    """
    step = make_step(spec)

    def steps(
        state: State, tokens_KxBxT1: jax.Array, count: jax.Array, horizon: Horizon
    ) -> tuple[State, StepMetrics]:
        blank = jnp.full(tokens_KxBxT1.shape[0], jnp.nan, jnp.float32)

        def continues(carry: Any) -> jax.Array:
            i, _, _, healthy = carry
            return (i < count) & healthy

        def body(carry: Any) -> Any:
            i, state, metrics, _ = carry
            state, new = step(state, tokens_KxBxT1[i], horizon)
            metrics = jax.tree.map(lambda all_, one: all_.at[i].set(one), metrics, new)
            return i + 1, state, metrics, jnp.isfinite(new.loss) & jnp.isfinite(new.grad_norm)

        start = (jnp.int32(0), state, StepMetrics(blank, blank, blank), jnp.bool_(True))
        _, state, metrics, _ = jax.lax.while_loop(continues, body, start)
        return state, metrics

    return steps
