"""Compiled programs of a run, shared by every run that can use the same ones."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from scaling_jax.config import RunConfig
from scaling_jax.train import mesh as layout
from scaling_jax.train.execution import DEFAULT, Execution
from scaling_jax.train.schedule import Horizon, without_horizon
from scaling_jax.train.step import ModelSpec, init_state, make_evaluation, make_steps

# The random numbers of the initialization are long straight-line code, on which LLVM's default
# effort takes longer than on everything else together (8 s against 1.3 s), for the same bits.
_INIT_OPTIONS = {"cpu": {"xla_backend_optimization_level": 1}}


@dataclass(frozen=True)
class Programs:
    """Ahead-of-time compiled functions of one run and the layout of its state."""

    init: Any
    train: Any
    evaluate: Any
    abstract_state: Any
    steps_per_dispatch: int


@dataclass(frozen=True)
class _Key:
    """Everything the compiled programs depend on."""

    spec: ModelSpec
    batch_size: int
    eval_batches: int


def programs(
    config: RunConfig, mesh: Mesh, eval_batches: int, execution: Execution = DEFAULT
) -> Programs:
    """The compiled programs of `config` on `mesh`, compiled once per process.

    Raises:
        InputError: `execution` does not suit the run or the devices.
    """
    resolved = execution.resolved(config, mesh.devices.flat[0].platform, mesh.size)
    return _compile(_key(config, eval_batches, resolved), mesh)


def _key(config: RunConfig, eval_batches: int, execution: Execution) -> _Key:
    # The horizon is an argument of the program, so blank it: runs that differ only in it share.
    optimizer = without_horizon(config.optimizer)
    spec = ModelSpec(config.shape, optimizer, config.precision, config.parameterization, execution)
    return _Key(spec, config.batch_size, eval_batches)


def traced_training(config: RunConfig, mesh: Mesh, execution: Execution = DEFAULT) -> Any:
    """The training program of `config` on `mesh`, traced: `lower().compile()` is what trains.

    To be lowered within `layout_rules(mesh)`; the mesh may be of devices that are not here.
    """
    key = _key(config, 1, execution.resolved(config, mesh.devices.flat[0].platform, mesh.size))
    return _trace_training(key, mesh, _abstract_state(key.spec, mesh))


def _abstract_state(spec: ModelSpec, mesh: Mesh) -> Any:
    abstract = jax.eval_shape(lambda k: init_state(spec, k), jax.random.key(0))
    return jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s),
        abstract,
        layout.state_shardings(abstract, mesh),
    )


def _trace_training(key: _Key, mesh: Mesh, state: Any) -> Any:
    whole, n_steps = layout.replicated(mesh), key.spec.execution.steps_per_dispatch
    assert n_steps is not None

    def scalar(dtype: Any) -> Any:
        return jax.ShapeDtypeStruct((), dtype, sharding=whole)

    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    train = jax.jit(make_steps(key.spec), donate_argnums=0, out_shardings=(shardings, whole))
    horizon = Horizon(*[scalar(jnp.float32)] * len(Horizon._fields))
    arguments = (state, _tokens(key, n_steps, mesh), scalar(jnp.int32), horizon)
    with layout.layout_rules(mesh):
        return train.trace(*arguments)


def _tokens(key: _Key, n_batches: int, mesh: Mesh) -> jax.ShapeDtypeStruct:
    dims = (n_batches, key.batch_size, key.spec.shape.seq_len + 1)
    return jax.ShapeDtypeStruct(dims, jnp.int32, sharding=layout.batch_sharding(mesh))


@cache
def _compile(key: _Key, mesh: Mesh) -> Programs:
    state = _abstract_state(key.spec, mesh)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    init_key = jax.eval_shape(lambda: jax.random.key(0))
    init = jax.jit(lambda k: init_state(key.spec, k), out_shardings=shardings)
    evaluate = jax.jit(make_evaluation(key.spec), out_shardings=layout.replicated(mesh))
    train = _trace_training(key, mesh, state)
    with layout.layout_rules(mesh):
        lowered = [
            init.lower(init_key),
            train.lower(),
            evaluate.lower(state["params"], _tokens(key, key.eval_batches, mesh)),
        ]
    # XLA compiles outside Python's lock, so the three programs compile side by side.
    quickly = _INIT_OPTIONS.get(mesh.devices.flat[0].platform)
    with ThreadPoolExecutor(len(lowered)) as pool:
        compiled = pool.map(
            lambda program, options: program.compile(compiler_options=options),
            lowered,
            [quickly, None, None],
        )
        init_program, train_program, evaluate_program = compiled
    n_steps = key.spec.execution.steps_per_dispatch
    assert n_steps is not None
    return Programs(init_program, train_program, evaluate_program, state, n_steps)
