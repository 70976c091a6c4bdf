"""The programs of a run as JAX traces and lowers them, before a compiler sees them.

They can be traced for devices that this machine does not have.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from scaling_jax.config import RunConfig
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.config.optimizer import without_horizon
from scaling_jax.execution import DEFAULT, Execution, fewest_loss_chunks
from scaling_jax.train import mesh as layout
from scaling_jax.train.evaluate import evaluation_batch
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.optimizer import is_elementwise
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import init_state, make_steps


@dataclass(frozen=True)
class ProgramKey:
    """Everything that the compiled programs depend on besides the mesh."""

    spec: ModelSpec
    batch_size: int
    n_runs: int = 1


@dataclass(frozen=True)
class EvaluationKey:
    """Everything the evaluation depends on; the training batch is none of it."""

    spec: ModelSpec
    n_batches: int
    batch_size: int


def resolved_on(mesh: Mesh, execution: Execution, config: RunConfig) -> Execution:
    """`execution` with every None chosen for `config` on the devices of `mesh`.

    Raises:
        InputError: as `Execution.resolved`.
    """
    platform = mesh.devices.flat[0].platform
    return execution.resolved(config, platform, mesh.size, mesh.shape["fsdp"] > 1)


def spec_of(config: RunConfig, execution: Execution) -> ModelSpec:
    """What the programs of runs like `config` depend on, under a resolved `execution`."""
    # The horizon is an argument of the program, so runs that differ only in it share the program.
    optimizer = without_horizon(config.optimizer)
    return ModelSpec(
        config.shape,
        optimizer,
        config.precision,
        config.parameterization,
        execution,
        config.dropout,
        config.batch_ramp,
    )


def key_of(config: RunConfig, execution: Execution) -> ProgramKey:
    """What the programs of one run like `config` depend on, under a resolved `execution`."""
    return ProgramKey(spec_of(config, execution), config.batch_size)


def evaluation_key(spec: ModelSpec, n_held_out: int, n_evaluated: int, mesh: Mesh) -> EvaluationKey:
    """What the evaluation of `n_held_out` windows depends on, `n_evaluated` of them at a time."""
    batch_size = evaluation_batch(n_held_out, spec.shape.seq_len, layout.batch_shares(mesh))
    platform = mesh.devices.flat[0].platform
    n_chunks = fewest_loss_chunks(spec.shape, batch_size, platform, mesh.size)
    execution = replace(spec.execution, accumulate=1, steps_per_dispatch=1, loss_chunks=n_chunks)
    return EvaluationKey(
        replace(spec, execution=execution, dropout=NO_DROPOUT, batch_ramp=None),
        -(-n_evaluated // batch_size),
        batch_size,
    )


def traced_training(config: RunConfig, mesh: Mesh, execution: Execution = DEFAULT) -> Any:
    """The training program of `config` on `mesh`, for `lowered`."""
    return traced_steps(key_of(config, resolved_on(mesh, execution, config)), mesh)


def lowered(traced: Any, mesh: Mesh) -> Any:
    """A traced program, lowered for the devices of `mesh`."""
    with layout.layout_rules(mesh):
        return traced.lower()


def state_of(spec: ModelSpec, mesh: Mesh) -> Any:
    """Shapes, dtypes and shardings of the state of one run, as checkpoints store it."""
    abstract = jax.eval_shape(lambda k: init_state(spec, k), jax.random.key(0))
    return jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s),
        abstract,
        layout.state_shardings(abstract, mesh, named=spec.shape.module is None),
    )


def trains_layers_apart(key: ProgramKey, mesh: Mesh) -> bool:
    """Whether the training program has separate arrays for each layer, without stacking them."""
    # It saves two copies of the parameters per step: measured on two cores, 1.03 times as fast at
    # 25M parameters. On accelerators the state takes much of the memory, and the conversion would
    # need the same amount again.
    on_cpu, execution = mesh.devices.flat[0].platform == "cpu", key.spec.execution
    return on_cpu and not execution.scan_layers and is_elementwise(key.spec.optimizer.name)


def training_state(key: ProgramKey, mesh: Mesh) -> Any:
    """The abstract state in the form that the training program takes."""
    state = state_of(key.spec, mesh)
    if trains_layers_apart(key, mesh):
        state = layout.unstacked(state)
    return layout.stacked(state, key.n_runs) if key.n_runs > 1 else state


def traced_steps(key: ProgramKey, mesh: Mesh) -> Any:
    """The training program: `steps_per_dispatch` steps of one run, or of several side by side."""
    state = training_state(key, mesh)
    whole, n_steps = layout.replicated(mesh), key.spec.execution.steps_per_dispatch
    assert n_steps is not None

    packed = [key.n_runs] if key.n_runs > 1 else []

    def scalar(dtype: Any) -> Any:
        return jax.ShapeDtypeStruct(packed, dtype, sharding=whole)

    steps = make_steps(key.spec)
    if packed:
        # The loop over steps runs while any run has steps left; runs that have ended do not change.
        steps = jax.vmap(steps, in_axes=(0, 1, 0, 0), spmd_axis_name="replica")
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    train = jax.jit(steps, donate_argnums=0, out_shardings=(shardings, whole))
    horizon = Horizon(*[scalar(jnp.float32)] * 5)._replace(
        seed=None if key.spec.dropout == NO_DROPOUT else scalar(jnp.uint32),
        ramp_steps=None if key.spec.batch_ramp is None else scalar(jnp.int32),
        average_after=scalar(jnp.int32) if key.spec.optimizer.averages else None,
    )
    tokens = _tokens(key.spec, key.batch_size, mesh, n_steps, *packed)
    arguments = (state, tokens, scalar(jnp.int32), horizon)
    with layout.layout_rules(mesh):
        return train.trace(*arguments)


def _tokens(spec: ModelSpec, batch_size: int, mesh: Mesh, *outer: int) -> jax.ShapeDtypeStruct:
    dims = (*outer, batch_size, spec.shape.seq_len + 1)
    sharding = layout.batch_sharding(mesh, packed=len(outer) == 2)
    return jax.ShapeDtypeStruct(dims, jnp.int32, sharding=sharding)


def traced_start(key: ProgramKey, mesh: Mesh) -> Any:
    """The program that makes the state of a new run from a key."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state_of(key.spec, mesh))
    start = jax.jit(lambda k: init_state(key.spec, k), out_shardings=shardings)
    with layout.layout_rules(mesh):
        return start.trace(jax.eval_shape(lambda: jax.random.key(0)))


def traced_evaluation(
    key: EvaluationKey, mesh: Mesh, make: Callable[[ModelSpec], Callable[..., jax.Array]]
) -> Any:
    """The evaluation that `make` makes: `make_evaluation` or `make_token_evaluation`."""
    params = state_of(key.spec, mesh)["params"]
    evaluate = jax.jit(make(key.spec), out_shardings=layout.replicated(mesh))
    with layout.layout_rules(mesh):
        return evaluate.trace(params, _tokens(key.spec, key.batch_size, mesh, key.n_batches))
