"""The compiled programs of a run, which runs of the same shape share."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from scaling_jax.config import RunConfig
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.config.optimizer import without_horizon
from scaling_jax.execution import DEFAULT, Execution, fewest_loss_chunks
from scaling_jax.model.stacking import stack_layers, unstack_layers
from scaling_jax.train import mesh as layout
from scaling_jax.train.evaluate import evaluation_batch, padded_batches
from scaling_jax.train.optimizer import is_elementwise
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import (
    ModelSpec,
    State,
    init_state,
    make_evaluation,
    make_steps,
    make_token_evaluation,
)

# For programs that run once: initialization is long straight-line code of random numbers, for
# which LLVM's default optimization takes longer than all other compilation (8 s instead of 1.3 s)
# and gives the same bits.
_RUN_ONCE_OPTIONS: dict[str, Any] = {"cpu": {"xla_backend_optimization_level": 1}}


@dataclass(frozen=True)
class Evaluation:
    """The compiled evaluation of held-out windows, in `n_batches` of `batch_size` at a time."""

    program: Any
    n_batches: int
    batch_size: int
    mesh: Mesh

    def __call__(self, params: Any, tokens_NxT1: np.ndarray) -> np.ndarray:
        """Mean loss of every window (nats/token), as float32 `loss_N`.

        The evaluation of `token_evaluation` gives the loss of every target, `loss_NxT`.
        """
        n, rows = self.n_batches, layout.local_rows(self.mesh, self.batch_size)
        padded = padded_batches(tokens_NxT1, n * self.batch_size)
        tokens_KxBxT1 = padded.reshape(-1, self.batch_size, tokens_NxT1.shape[1])[:, rows]
        losses = []
        for first in range(0, len(tokens_KxBxT1), n):
            piece = tokens_KxBxT1[first : first + n]
            tokens = layout.put_batches(piece, self.mesh, self.batch_size)
            loss_KxBx = np.asarray(self.program(params, tokens))
            losses.append(loss_KxBx.reshape(-1, *loss_KxBx.shape[2:]))
        return np.concatenate(losses)[: len(tokens_NxT1)]


@dataclass(frozen=True)
class Programs:
    """Compiled functions of runs, and the abstract state of one run.

    Attributes:
        init: a key to the state of one run.
        train: takes `steps_per_dispatch` steps with the result of `pack`. For several runs, its
            arguments have a leading axis of runs; the tokens have it as their second axis.
        evaluate: held-out losses of one run.
        abstract_state: shapes, dtypes and shardings of the state of one run.
        execution: how the run is computed, with every choice made.
        pack, unpack: states of all runs to the argument of `train`, and back to that of run i.
    """

    init: Any
    train: Any
    evaluate: Evaluation
    abstract_state: Any
    execution: Execution
    steps_per_dispatch: int
    pack: Callable[..., State]
    unpack: Callable[[State, int], State]


@dataclass(frozen=True)
class _Key:
    """Everything that the compiled programs depend on besides the mesh."""

    spec: ModelSpec
    batch_size: int
    n_runs: int = 1


@dataclass(frozen=True)
class _EvaluationKey:
    """Everything the evaluation depends on; the training batch is none of it."""

    spec: ModelSpec
    n_batches: int
    batch_size: int


def programs(
    config: RunConfig,
    mesh: Mesh,
    n_held_out: int,
    execution: Execution = DEFAULT,
    n_runs: int = 1,
    n_evaluated: int | None = None,
) -> Programs:
    """The compiled programs of `n_runs` like `config` on `mesh`, compiled once per process.

    `n_held_out` is the number of held-out sequences. The evaluation program takes `n_evaluated` of
    them at a time, by default all.

    Raises:
        InputError: `execution` does not suit the run or the devices.
    """
    resolved = resolved_on(mesh, execution, config)
    key = replace(_key(config, resolved), n_runs=n_runs)
    held_out = _evaluation_key(key.spec, n_held_out, n_evaluated or n_held_out, mesh)
    return _compile(key, held_out, mesh)


def evaluation(
    config: RunConfig, mesh: Mesh, n_held_out: int, execution: Execution = DEFAULT
) -> Evaluation:
    """The evaluation of runs like `config` on `n_held_out` windows, the one that training uses.

    Raises:
        InputError: `execution` does not suit the run or the devices.
    """
    key = _whole_evaluation_key(config, mesh, n_held_out, execution)
    return Evaluation(_evaluate(key, mesh), key.n_batches, key.batch_size, mesh)


def token_evaluation(
    config: RunConfig, mesh: Mesh, n_held_out: int, execution: Execution = DEFAULT
) -> Evaluation:
    """As `evaluation`, of the loss of every target instead of the mean of a window.

    Raises:
        InputError: `execution` does not suit the run or the devices.
    """
    key = _whole_evaluation_key(config, mesh, n_held_out, execution)
    return Evaluation(_evaluate_tokens(key, mesh), key.n_batches, key.batch_size, mesh)


def _whole_evaluation_key(
    config: RunConfig, mesh: Mesh, n_held_out: int, execution: Execution
) -> _EvaluationKey:
    spec = spec_of(config, resolved_on(mesh, execution, config))
    return _evaluation_key(spec, n_held_out, n_held_out, mesh)


def abstract_state(config: RunConfig, mesh: Mesh) -> Any:
    """`state_of` a run of `config`."""
    return state_of(spec_of(config, resolved_on(mesh, DEFAULT, config)), mesh)


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


def _key(config: RunConfig, execution: Execution) -> _Key:
    return _Key(spec_of(config, execution), config.batch_size)


def _evaluation_key(
    spec: ModelSpec, n_held_out: int, n_evaluated: int, mesh: Mesh
) -> _EvaluationKey:
    batch_size = evaluation_batch(n_held_out, spec.shape.seq_len, layout.batch_shares(mesh))
    platform = mesh.devices.flat[0].platform
    n_chunks = fewest_loss_chunks(spec.shape, batch_size, platform, mesh.size)
    execution = replace(spec.execution, accumulate=1, steps_per_dispatch=1, loss_chunks=n_chunks)
    return _EvaluationKey(
        replace(spec, execution=execution, dropout=NO_DROPOUT, batch_ramp=None),
        -(-n_evaluated // batch_size),
        batch_size,
    )


def traced_training(config: RunConfig, mesh: Mesh, execution: Execution = DEFAULT) -> Any:
    """The traced training program of `config` on `mesh`, to be lowered inside `layout_rules(mesh)`.

    The mesh may consist of devices that this machine does not have.
    """
    return _trace_training(_key(config, resolved_on(mesh, execution, config)), mesh)


def state_of(spec: ModelSpec, mesh: Mesh) -> Any:
    """Shapes, dtypes and shardings of the state of one run, as checkpoints store it."""
    abstract = jax.eval_shape(lambda k: init_state(spec, k), jax.random.key(0))
    return jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s),
        abstract,
        layout.state_shardings(abstract, mesh, named=spec.shape.module is None),
    )


def _trains_layers_apart(key: _Key, mesh: Mesh) -> bool:
    """Whether the training program has separate arrays for each layer, without stacking them."""
    # It saves two copies of the parameters per step: measured on two cores, 1.03 times as fast at
    # 25M parameters. On accelerators the state takes much of the memory, and the conversion would
    # need the same amount again.
    on_cpu, execution = mesh.devices.flat[0].platform == "cpu", key.spec.execution
    return on_cpu and not execution.scan_layers and is_elementwise(key.spec.optimizer.name)


def _training_state(key: _Key, mesh: Mesh) -> Any:
    """The abstract state in the form that the training program takes."""
    state = state_of(key.spec, mesh)
    if _trains_layers_apart(key, mesh):
        state = layout.unstacked(state)
    return layout.stacked(state, key.n_runs) if key.n_runs > 1 else state


def _trace_training(key: _Key, mesh: Mesh) -> Any:
    state = _training_state(key, mesh)
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


def _packing(key: _Key, mesh: Mesh) -> tuple[Callable[..., State], Callable[[State, int], State]]:
    apart, several = _trains_layers_apart(key, mesh), key.n_runs > 1
    if not apart and not several:
        return lambda state: state, lambda state, i: state

    def pack(*states: State) -> State:
        each = [unstack_layers(state) for state in states] if apart else states
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each) if several else each[0]

    def unpack(packed: State, i: int) -> State:
        one = jax.tree.map(lambda leaf: leaf[i], packed) if several else packed
        return stack_layers(one) if apart else one

    trained, stored = (
        jax.tree.map(lambda leaf: leaf.sharding, state)
        for state in (_training_state(key, mesh), state_of(key.spec, mesh))
    )
    options = _RUN_ONCE_OPTIONS.get(mesh.devices.flat[0].platform)
    return (
        jax.jit(pack, out_shardings=trained, compiler_options=options),
        jax.jit(unpack, out_shardings=stored, compiler_options=options),
    )


@cache
def _compile(key: _Key, held_out: _EvaluationKey, mesh: Mesh) -> Programs:
    one, state = replace(key, n_runs=1), state_of(key.spec, mesh)
    n_steps = key.spec.execution.steps_per_dispatch
    assert n_steps is not None
    # XLA releases Python's lock, so the three programs compile in parallel.
    with ThreadPoolExecutor() as pool:
        init = pool.submit(_init, one, mesh)
        train = pool.submit(_train, key, mesh)
        evaluate = pool.submit(_evaluate, held_out, mesh)
    pack, unpack = _packing(key, mesh)
    return Programs(
        init=init.result(),
        train=train.result(),
        evaluate=Evaluation(evaluate.result(), held_out.n_batches, held_out.batch_size, mesh),
        abstract_state=state,
        execution=key.spec.execution,
        steps_per_dispatch=n_steps,
        pack=pack,
        unpack=unpack,
    )


# Cached separately, because `_init` and `_evaluate` do not depend on the number of runs.
@cache
def _init(key: _Key, mesh: Mesh) -> Any:
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state_of(key.spec, mesh))
    init = jax.jit(lambda k: init_state(key.spec, k), out_shardings=shardings)
    with layout.layout_rules(mesh):
        lowered = init.lower(jax.eval_shape(lambda: jax.random.key(0)))
    return lowered.compile(compiler_options=_RUN_ONCE_OPTIONS.get(mesh.devices.flat[0].platform))


@cache
def _train(key: _Key, mesh: Mesh) -> Any:
    train = _trace_training(key, mesh)
    with layout.layout_rules(mesh):
        lowered = train.lower()
    return lowered.compile()


@cache
def _evaluate(key: _EvaluationKey, mesh: Mesh) -> Any:
    return _compiled_evaluation(key, mesh, make_evaluation)


@cache
def _evaluate_tokens(key: _EvaluationKey, mesh: Mesh) -> Any:
    return _compiled_evaluation(key, mesh, make_token_evaluation)


def _compiled_evaluation(
    key: _EvaluationKey, mesh: Mesh, make: Callable[[ModelSpec], Callable[..., jax.Array]]
) -> Any:
    params = state_of(key.spec, mesh)["params"]
    evaluate = jax.jit(make(key.spec), out_shardings=layout.replicated(mesh))
    with layout.layout_rules(mesh):
        lowered = evaluate.lower(params, _tokens(key.spec, key.batch_size, mesh, key.n_batches))
    return lowered.compile()
