"""Runs from their configurations to their results: one, or several side by side."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh

from scaling_jax.accounting import hardware
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.runs.code import code_state
from scaling_jax.runs.metrics import open_metrics, steps_without_gap
from scaling_jax.runs.progress import Report, progress_bar
from scaling_jax.runs.result import Result, read_result, write_result
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.system.agreement import from_first, gathered, is_first, together
from scaling_jax.system.files import absolute, write_text_atomically
from scaling_jax.system.preemption import stop_request
from scaling_jax.train import mesh as layout
from scaling_jax.train.checkpoint import CHECKPOINTS, open_checkpoints
from scaling_jax.train.evaluate import padded_batches
from scaling_jax.train.inputs import Inputs, check_same_text, load_inputs
from scaling_jax.train.lineage import SINGLE, Lineage, Origin, begin_from
from scaling_jax.train.loop import Loop, Tools, Track
from scaling_jax.train.outcome import measured
from scaling_jax.train.preflight import (
    CONFIG_FILE,
    _check_each_its_directory,
    _check_same_runs,
    check_share_program,
)
from scaling_jax.train.programs import Programs, programs, resolved_on
from scaling_jax.train.step import State

CHECKPOINT_SECONDS = 60.0


def train_run(
    config: RunConfig,
    directory: os.PathLike | str,
    *,
    cache_dir: os.PathLike | str | None = None,
    mesh: Mesh | None = None,
    execution: Execution = DEFAULT,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: bool = True,
    report: Report | None = None,
    lineage: Lineage = SINGLE,
) -> Result:
    """Train `config` in `directory`, continuing from its last checkpoint, and return its result.

    A finished or diverged run is returned as it is. Killed at any moment and started again,
    a run ends as if it had never stopped, bit for bit on a CPU. `execution` says how it is
    computed. `report`, if given, is called now and then with (step, training loss, tokens/s).
    `lineage` says which checkpoint of another run it begins from, if any, and which of its own
    others do.

    Raises:
        InputError: the directory is another run's, the corpus is too short, the tokenizer does not
            fit the shape, the batch does not divide over the devices, `execution` is not possible,
            processes that train together were given different runs; all before training.
        Preempted: SIGTERM or SIGINT arrived; the state is saved.
    """
    return train_replicas(
        [config],
        [directory],
        cache_dir=cache_dir,
        mesh=mesh,
        execution=execution,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
        reports=[report],
        lineages=[lineage],
    )[0]


def train_replicas(
    configs: Sequence[RunConfig],
    directories: Sequence[os.PathLike | str],
    *,
    cache_dir: os.PathLike | str | None = None,
    mesh: Mesh | None = None,
    execution: Execution = DEFAULT,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: bool = True,
    reports: Sequence[Report | None] | None = None,
    lineages: Sequence[Lineage] | None = None,
) -> list[Result]:
    """Train runs that share a program side by side in it, each as `train_run` would.

    They may differ in seed and in all that a `Horizon` holds: learning rates and lengths. Each
    goes on from its own checkpoint, and stays as it is once it is at its end or has diverged,
    while the others go on. Losses are those of the run alone to float32 rounding, since sums
    are taken in another order. Devices are shared out among the runs first.

    Raises:
        InputError: runs that cannot share a program, and as `train_run`.
        Preempted: SIGTERM or SIGINT arrived; the states are saved.
    """
    paths = [absolute(directory) for directory in directories]
    with together():
        _check_each_its_directory(configs, paths, reports, lineages)
    _check_same_runs(configs, paths, execution)
    # As the first process sees them: others may see a shared file system later.
    with together():
        read = [read_result(path) for path in paths] if is_first() else []
    told = from_first(lambda: [None if one is None else dataclasses.asdict(one) for one in read])
    done = [None if one is None else Result(**one) for one in told]
    waiting = [i for i, result in enumerate(done) if result is None]
    if not waiting:
        return [result for result in done if result is not None]
    configs, paths = [configs[i] for i in waiting], [paths[i] for i in waiting]
    first, n_runs = check_share_program(configs), len(configs)
    mesh = mesh or layout.mesh_for(
        first.shape,
        first.batch_size,
        execution.mesh,
        accumulate=execution.accumulate,
        n_runs=n_runs,
    )
    # Programs resolve it again; this refuses what cannot run before the text is read.
    resolved_on(mesh, execution, first)
    # As the source is now, not when the run ends.
    code_state()
    shown, watch = progress and is_first(), Stopwatch()
    with watch.part("data"), together():
        inputs = [load_inputs(config, cache_dir, shown) for config in configs]
    _begin_directories(configs, paths, inputs)
    with watch.part("compile"):
        compiled = programs(first, mesh, len(inputs[0].held_out_NxT1), execution, n_runs)
    displays = [
        partial(progress_bar, config.run_id, config.steps, shown and n_runs == 1, report)
        for config, report in zip(
            configs, [reports[i] if reports else None for i in waiting], strict=True
        )
    ]
    related = [lineages[i] if lineages else SINGLE for i in waiting]
    runs = list(zip(configs, paths, inputs, related, displays, strict=True))
    trained = _train(runs, mesh, compiled, watch, checkpoint_seconds)
    for i, result in zip(waiting, trained, strict=True):
        done[i] = result
    return [result for result in done if result is not None]


def _begin_directories(
    configs: Sequence[RunConfig], paths: Sequence[epath.Path], inputs: Sequence[Inputs]
) -> None:
    ours = [each.fingerprint for each in inputs]
    theirs = from_first(lambda: ours)
    with together():
        if ours != theirs:
            raise InputError(
                f"process {jax.process_index()} has text with fingerprint {ours[0]}, process 0 "
                f"with {theirs[0]}: give all the same corpus"
            )
        if is_first():
            for config, path, fingerprint in zip(configs, paths, ours, strict=True):
                _make(path, config)
                check_same_text(path, fingerprint)


def _make(path: epath.Path, config: RunConfig) -> None:
    """The directory of a run, with its configuration."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / CONFIG_FILE).exists():
            write_text_atomically(path / CONFIG_FILE, config.to_json())
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; give a directory that can be written"
        ) from error


Display = Callable[[int], AbstractContextManager[Report]]


def _train(
    runs: Sequence[tuple[RunConfig, epath.Path, Inputs, Lineage, Display]],
    mesh: Mesh,
    compiled: Programs,
    watch: Stopwatch,
    checkpoint_seconds: float,
) -> list[Result]:
    with ExitStack() as stack:
        stop = stack.enter_context(stop_request())
        for signum in gathered(stop.signum):
            stop.signum = stop.signum or signum
        stop.raise_if_requested()
        with watch.part("initialize"):
            begun = [_begin(stack, compiled, *run) for run in runs]
            config, _, inputs, *_ = runs[0]
            peak = hardware.local_peak_flops(config.precision)
            tracks, states = zip(*begun, strict=True)
            tools = Tools(stop, watch, checkpoint_seconds, peak)
            loop = Loop(tracks, jax.block_until_ready(states), mesh, compiled, tools)
        del begun, states
        _timed(loop, watch)
        with watch.part("evaluate"):
            losses = _evaluate(loop, tracks, compiled, inputs, mesh)
        with watch.part("checkpoint"):
            for track in tracks:
                track.checkpoints.wait()

    def written() -> list[dict]:
        paths = [path for _, path, *_ in runs]
        results = [
            measured(track, path, loss_N, watch, len(tracks), mesh.size)
            for track, path, loss_N in zip(tracks, paths, losses, strict=True)
        ]
        for path, result in zip(paths, results, strict=True):
            write_result(path, result)
        return [dataclasses.asdict(result) for result in results]

    return [Result(**result) for result in from_first(written)]


def _begin(
    stack: ExitStack,
    compiled: Programs,
    config: RunConfig,
    path: epath.Path,
    inputs: Inputs,
    lineage: Lineage,
    display: Display,
) -> tuple[Track, State]:
    """A run at its last checkpoint or its start, with all it writes to open until `stack` ends."""
    kept = lineage.kept
    checkpoints = stack.enter_context(open_checkpoints(path / CHECKPOINTS, kept))
    # A curve with a hole would be that of another run.
    restored = checkpoints.restore(
        compiled.abstract_state, at_most=from_first(lambda: steps_without_gap(path))
    )
    step, state = restored or _first(compiled, config, path, lineage.origin)
    metrics = stack.enter_context(open_metrics(path, step))
    report = stack.enter_context(display(step))
    return Track(config, inputs, checkpoints, metrics, report, step, kept), state


def _first(
    compiled: Programs, config: RunConfig, path: epath.Path, origin: Origin | None
) -> tuple[int, State]:
    if origin is not None:
        state = begin_from(origin, path, compiled.abstract_state)
        if state is not None:
            return origin.step, state
    return 0, compiled.init(jax.random.key(config.seed))


def _timed(loop: Loop, watch: Stopwatch) -> None:
    """Run the loop; its time not spent on input, metrics or checkpoints is the step's."""
    before, start = sum(watch.seconds.values()), time.perf_counter()
    loop.run()
    elapsed = time.perf_counter() - start
    watch.seconds["train"] += elapsed - (sum(watch.seconds.values()) - before)


def _evaluate(
    loop: Loop, tracks: Sequence[Track], compiled: Programs, inputs: Inputs, mesh: Mesh
) -> list[np.ndarray | None]:
    """Held-out losses `loss_N` of every run, on the same text; None where one diverged."""
    batch_size, n_windows = compiled.eval_batch, len(inputs.held_out_NxT1)
    tokens_KxBxT1 = padded_batches(inputs.held_out_NxT1, batch_size)
    tokens = layout.put_batches(
        tokens_KxBxT1[:, layout.local_rows(mesh, batch_size)], mesh, batch_size
    )

    def losses(i: int) -> np.ndarray:
        loss_KxB = np.asarray(compiled.evaluate(loop.state(i)["params"], tokens))
        return loss_KxB.ravel()[:n_windows]

    return [losses(i) if track.healthy else None for i, track in enumerate(tracks)]
