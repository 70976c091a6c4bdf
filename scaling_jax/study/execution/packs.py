"""Packs: runs of one program that train side by side in it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import jax

from scaling_jax.accounting.flops import training_flops
from scaling_jax.accounting.memory import Spread, training_memory
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.mesh_spec import CHOSEN
from scaling_jax.study.execution.attempt import Listener, Outcome, attempt, hold
from scaling_jax.study.store import lifecycle
from scaling_jax.study.store.retry_policy import USUAL, Supervision
from scaling_jax.study.store.store import StoredRun
from scaling_jax.study.store.trunks import await_trunk, lineage
from scaling_jax.system.agreement import from_first, is_first
from scaling_jax.system.preemption import Preempted
from scaling_jax.train import program_of, train_replicas
from scaling_jax.train.mesh import device_memory

# A device is kept busy by steps of about ten milliseconds at 1e14 FLOP/s; more models side by
# side only end later.
_BUSY_FLOPS = 1e12
_MEMORY_SHARE = 0.5
_MOST_TO_A_DEVICE = 16

Advanced = Callable[[StoredRun, int, float, float], None]


Pack = list[StoredRun]


def packs(runs: Sequence[StoredRun], most: int | None, execution: Execution) -> list[Pack]:
    """`runs`, in their order, in packs of at most `most`, by default what suits the devices.

    A pack is as large as the devices can share out evenly.

    Raises:
        InputError: `most` is below 1.
    """
    if most is not None and most < 1:
        raise InputError(f"pack {most} must be at least 1")
    n_devices = execution.mesh.replica
    if execution.mesh == CHOSEN and jax.default_backend() != "cpu":
        n_devices = jax.device_count()
    alike: dict[tuple[RunConfig, bool], Pack] = {}
    for run in runs:
        # A trunk and its branches cannot be side by side.
        is_branch = run.planned.branch is not None
        alike.setdefault((program_of(run.planned.config), is_branch), []).append(run)
    place = {run.run_id: i for i, run in enumerate(runs)}
    made = []
    for (config, _), group in alike.items():
        while group:
            size = _size(min(most or _suitable(config), len(group)), n_devices)
            made.append(group[:size])
            group = group[size:]
    return sorted(made, key=lambda pack: place[pack[0].run_id])


def _size(most: int, n_devices: int) -> int:
    if most >= n_devices:
        return most // n_devices * n_devices
    return max(size for size in range(1, most + 1) if n_devices % size == 0)


def _suitable(config: RunConfig) -> int:
    """How many models side by side keep the devices busy and fit; on a CPU it is one.

    There the products of several models are no faster together, and a process to a core is.
    """
    memory = device_memory(jax.devices()[0])
    if memory is None:
        return 1
    step_flops = training_flops(config.shape, config.tokens_per_step, "exact")
    needed = training_memory(
        config.shape,
        Spread(config.batch_size),
        precision=config.precision,
        optimizer=config.optimizer.name,
    )
    fit = int(_MEMORY_SHARE * memory / needed.total)
    to_a_device = min(int(_BUSY_FLOPS / step_flops), fit, _MOST_TO_A_DEVICE)
    return max(1, to_a_device * jax.device_count())


def attempt_pack(
    pack: Sequence[StoredRun],
    *,
    execution: Execution,
    cache_dir: os.PathLike | str | None,
    advanced: Advanced,
    supervision: Supervision = USUAL,
) -> Iterator[tuple[StoredRun, Outcome]]:
    """Train the runs of `pack` side by side; say of each in a few words how it went.

    Runs that are over, cancelled, given up, or that another process has are left out. If they
    cannot be trained together, by want of memory for one, each is tried alone.

    Raises:
        Preempted: asked to stop; the runs are saved.
    """
    reports = {run.run_id: partial(advanced, run) for run in pack}
    problem = ""
    with ExitStack() as stack:

        def free(run: StoredRun) -> bool:
            mine = hold(stack, run, supervision) is True and await_trunk(run, supervision) is None
            return mine and run.result is None and lifecycle.take(run, supervision) is None

        mine = [run for run in pack if len(pack) > 1 and from_first(partial(free, run))]
        try:
            if len(mine) > 1:
                train_replicas(
                    [run.planned.config for run in mine],
                    [run.directory for run in mine],
                    execution=execution,
                    cache_dir=cache_dir,
                    checkpoint_seconds=supervision.checkpoint_seconds,
                    progress=False,
                    reports=[Listener(run, reports[run.run_id], heed_cancel=False) for run in mine],
                    lineages=[lineage(run) for run in mine],
                )
        except Preempted as stop:
            _leave(mine, str(stop))
            raise
        except Exception as error:
            problem = f" (by itself, since side by side: {type(error).__name__}: {error})"
            _leave(mine, f"tried by itself, since side by side: {type(error).__name__}: {error}")
        else:
            if len(mine) == 1:
                _leave(mine, "the others of its pack are not to be trained here")
    for run in pack:
        outcome = attempt(
            run,
            execution=execution,
            cache_dir=cache_dir,
            report=reports[run.run_id],
            supervision=supervision,
        )
        yield run, replace(outcome, text=outcome.text + problem)


def _leave(runs: Sequence[StoredRun], reason: str) -> None:
    if is_first():
        for run in runs:
            lifecycle.leave(run, reason)
