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
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.model.stacking import stack_layers, unstack_layers
from scaling_jax.train import mesh as layout
from scaling_jax.train.evaluate import padded_batches
from scaling_jax.train.evaluation import make_evaluation, make_token_evaluation
from scaling_jax.train.overlap import compile_overlapped
from scaling_jax.train.step import State
from scaling_jax.train.traced import (
    EvaluationKey,
    ProgramKey,
    evaluation_key,
    key_of,
    lowered,
    resolved_on,
    spec_of,
    state_of,
    traced_evaluation,
    traced_start,
    traced_steps,
    training_state,
    trains_layers_apart,
)

# For programs that run once: initialization is long straight-line code of random numbers, for
# which LLVM's default optimization takes longer than all other compilation (8 s instead of 1.3 s)
# and gives the same bits.
_RUN_ONCE_OPTIONS: dict[str, Any] = {"cpu": {"xla_backend_optimization_level": 1}}


# Windows of the smaller of two evaluation programs.
_FEW_WINDOWS = 8


@dataclass(frozen=True)
class Evaluation:
    """The compiled evaluation of held-out windows, in `n_batches` of `batch_size` at a time.

    `rest` evaluates windows that would fill few of a program's rows. Without it, copies of the
    last window fill the others.
    """

    program: Any
    n_batches: int
    batch_size: int
    mesh: Mesh
    rest: "Evaluation | None" = None

    def __call__(self, params: Any, tokens_NxT1: np.ndarray) -> np.ndarray:
        """Mean loss of every window (nats/token), as float32 `loss_N`.

        The evaluation of `token_evaluation` gives the loss of every target, `loss_NxT`.
        """
        at_once = self.n_batches * self.batch_size
        left = len(tokens_NxT1) % at_once
        if self.rest is not None and 0 < left <= at_once - self.rest.batch_size:
            last = self.rest(params, tokens_NxT1[len(tokens_NxT1) - left :])
            if left == len(tokens_NxT1):
                return last
            whole = replace(self, rest=None)(params, tokens_NxT1[: len(tokens_NxT1) - left])
            return np.concatenate([whole, last])
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
    them at a time, by default all. With 1 it takes a batch at a time, and a second program a few
    windows, so that any number of windows is evaluated at about its own cost.

    Raises:
        InputError: `execution` does not suit the run or the devices.
    """
    resolved = resolved_on(mesh, execution, config)
    key = replace(key_of(config, resolved), n_runs=n_runs)
    held_out = evaluation_key(key.spec, n_held_out, n_evaluated or n_held_out, mesh)
    rest = None
    if n_evaluated == 1:
        rest = evaluation_key(key.spec, min(n_held_out, _FEW_WINDOWS), 1, mesh)
    return _compile(key, held_out, mesh, None if rest == held_out else rest)


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
) -> EvaluationKey:
    spec = spec_of(config, resolved_on(mesh, execution, config))
    return evaluation_key(spec, n_held_out, n_held_out, mesh)


def abstract_state(config: RunConfig, mesh: Mesh) -> Any:
    """`state_of` a run of `config`."""
    return state_of(spec_of(config, resolved_on(mesh, DEFAULT, config)), mesh)


def _packing(
    key: ProgramKey, mesh: Mesh
) -> tuple[Callable[..., State], Callable[[State, int], State]]:
    apart, several = trains_layers_apart(key, mesh), key.n_runs > 1
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
        for state in (training_state(key, mesh), state_of(key.spec, mesh))
    )
    options = _RUN_ONCE_OPTIONS.get(mesh.devices.flat[0].platform)
    return (
        jax.jit(pack, out_shardings=trained, compiler_options=options),
        jax.jit(unpack, out_shardings=stored, compiler_options=options),
    )


@cache
def _compile(
    key: ProgramKey, held_out: EvaluationKey, mesh: Mesh, few: EvaluationKey | None = None
) -> Programs:
    one, state = replace(key, n_runs=1), state_of(key.spec, mesh)
    n_steps = key.spec.execution.steps_per_dispatch
    assert n_steps is not None
    # XLA releases Python's lock, so the programs compile in parallel.
    with ThreadPoolExecutor() as pool:
        init = pool.submit(_init, one, mesh)
        train = pool.submit(_train, key, mesh)
        evaluate = pool.submit(_evaluate, held_out, mesh)
        evaluate_few = None if few is None else pool.submit(_evaluate, few, mesh)
    rest = None
    if few is not None and evaluate_few is not None:
        rest = Evaluation(evaluate_few.result(), few.n_batches, few.batch_size, mesh)
    pack, unpack = _packing(key, mesh)
    return Programs(
        init=init.result(),
        train=train.result(),
        evaluate=Evaluation(evaluate.result(), held_out.n_batches, held_out.batch_size, mesh, rest),
        abstract_state=state,
        execution=key.spec.execution,
        steps_per_dispatch=n_steps,
        pack=pack,
        unpack=unpack,
    )


# Cached separately, because `_init` and `_evaluate` do not depend on the number of runs.
@cache
def _init(key: ProgramKey, mesh: Mesh) -> Any:
    options = _RUN_ONCE_OPTIONS.get(mesh.devices.flat[0].platform)
    return lowered(traced_start(key, mesh), mesh).compile(compiler_options=options)


@cache
def _train(key: ProgramKey, mesh: Mesh) -> Any:
    return compile_overlapped(lowered(traced_steps(key, mesh), mesh), mesh)


@cache
def _evaluate(key: EvaluationKey, mesh: Mesh) -> Any:
    return compile_overlapped(lowered(traced_evaluation(key, mesh, make_evaluation), mesh), mesh)


@cache
def _evaluate_tokens(key: EvaluationKey, mesh: Mesh) -> Any:
    traced = traced_evaluation(key, mesh, make_token_evaluation)
    return compile_overlapped(lowered(traced, mesh), mesh)
