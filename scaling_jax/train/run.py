"""Training of one run, or of several side by side, from configuration to result."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import jax
from etils import epath
from jax.sharding import Mesh

from scaling_jax.accounting import hardware
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.forked import refuse_forked
from scaling_jax.mesh_spec import MeshSpec, check_noise
from scaling_jax.runs.code import code_state
from scaling_jax.runs.details import write_details
from scaling_jax.runs.held_out import evaluated_without_gap
from scaling_jax.runs.metrics import (
    open_metrics,
    read_evaluations,
    read_noise,
    steps_without_gap,
)
from scaling_jax.runs.module_file import record_module, require_module
from scaling_jax.runs.progress_bar import Report, progress_bar
from scaling_jax.runs.result import (
    DamagedResultError,
    FaultyResultError,
    Result,
    read_result,
    write_result,
)
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.runs.tracking import Tracker, checked_track, open_tracker, tracked_run
from scaling_jax.system.agreement import from_first, gathered, is_first, together
from scaling_jax.system.files import absolute, write_text_atomically
from scaling_jax.system.preemption import stop_request
from scaling_jax.train import mesh as layout
from scaling_jax.train.checkpoint import CHECKPOINTS, open_checkpoints
from scaling_jax.train.held_out import HeldOutSets, n_evaluated_at_once
from scaling_jax.train.inputs import Inputs, check_same_text, load_inputs
from scaling_jax.train.lineage import SINGLE, Lineage, Origin, begin_from, start_from
from scaling_jax.train.loop import Loop, Tools, Track
from scaling_jax.train.noise_scale import NoiseMeasurement, noise_measurement
from scaling_jax.train.outcome import AtEnd, measured
from scaling_jax.train.preflight import (
    CONFIG_FILE,
    check_directories,
    check_processes_agree,
    check_same_program,
)
from scaling_jax.train.programs import Evaluation, Programs, programs, token_evaluation
from scaling_jax.train.scoring import Scoring
from scaling_jax.train.step import State, weights_of
from scaling_jax.train.task_sets import TaskSets
from scaling_jax.train.traced import resolved_on

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
    track: Sequence[str] = (),
) -> Result:
    """Train `config` in `directory`, continuing from its last checkpoint, and return its result.

    If the directory has a result, it is returned without training. A run that is killed at any
    moment and started again has the same result as an uninterrupted one, bit for bit on a CPU.

    Args:
        config: the run.
        directory: where it stores its configuration, checkpoints, metrics and result.
        cache_dir: where tokens are kept: a directory, by default `default_cache_dir()`, or a bucket
            that all hosts read from, `gs://BUCKET/PATH?memory=BYTES`.
        mesh: the device mesh; by default `execution.mesh` over all devices.
        execution: choices that affect speed and memory alone; what is left open is chosen so that
            the run fits.
        checkpoint_seconds: time between checkpoints.
        progress: whether to draw progress bars on standard error.
        report: a function called after dispatches with (step, training loss, tokens/s).
        lineage: the checkpoint of another run to start from, and steps whose checkpoints are kept.
        track: trackers beside TensorBoard: `wandb`, `mlflow` or `jsonl:PATH`. A tracker that fails
            is dropped with a warning.

    Raises:
        InputError: the directory belongs to another run, the corpus is too short, the tokenizer
            does not fit the shape, the batch does not divide over the devices, `execution` is not
            possible, a tracker is not installed, or processes that train together were given
            different runs. It is raised before training.
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
        track=track,
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
    track: Sequence[str] = (),
) -> list[Result]:
    """Train several runs side by side in one program, each as `train_run` would.

    The runs may differ in their seed and in everything that a `Horizon` holds: learning rates and
    lengths. Each run continues from its own checkpoint. A run that has ended or diverged stays
    unchanged while the others continue. Losses equal those of `train_run` up to float32 rounding,
    because sums are added in another order. Devices are first divided among the runs.

    Raises:
        InputError: runs that cannot share a program, or a reason of `train_run`.
        Preempted: SIGTERM or SIGINT arrived; the states are saved.
    """
    refuse_forked()
    track = checked_track(track)
    paths = [absolute(directory) for directory in directories]
    with together():
        check_directories(configs, paths, reports, lineages)
    check_processes_agree(configs, paths, execution)
    # Process 0 reads the results for all, because a shared file system may show them later to
    # others.
    with together():
        read = [_result(path, config) for path, config in zip(paths, configs, strict=True)]
    stored = from_first(lambda: [None if one is None else dataclasses.asdict(one) for one in read])
    done = [None if one is None else Result(**one) for one in stored]
    waiting = [i for i, result in enumerate(done) if result is None]
    if not waiting:
        return [result for result in done if result is not None]
    configs, paths = [configs[i] for i in waiting], [paths[i] for i in waiting]
    check_same_program(configs)
    with together():
        for config, path in zip(configs, paths, strict=True):
            require_module(path, config)
    first, n_runs = configs[0], len(configs)
    if mesh is not None:
        execution = dataclasses.replace(execution, mesh=MeshSpec(**mesh.shape))
    if n_runs == 1:
        devices = None if mesh is None else list(mesh.devices.flat)
        execution = layout.chosen_here(first, execution, devices)
    mesh = mesh or layout.mesh_for(
        first.shape,
        first.smallest_batch,
        execution.mesh,
        accumulate=execution.microbatches,
        n_runs=n_runs,
    )
    # An impossible `execution` is an error before data is read.
    execution = resolved_on(mesh, execution, first)
    check_noise(mesh.shape, first.noise_scale)
    # Cached now, because the source may change before the run ends.
    code_state()
    shown, watch = progress and is_first(), Stopwatch()
    with watch.part("data"), together():
        inputs = [load_inputs(config, cache_dir, shown) for config in configs]
    _begin_directories(configs, paths, inputs)
    with watch.part("compile"):
        windows = inputs[0].windows
        at_once = n_evaluated_at_once(first, windows)
        compiled = programs(first, mesh, windows[0], execution, n_runs, at_once)
        tasks = TaskSets(inputs[0].tasks, Scoring(first, mesh, execution))
        noise = noise_measurement(first, mesh, execution)
    displays = [
        partial(progress_bar, config.run_id, config.steps, shown and n_runs == 1, report)
        for config, report in zip(
            configs, [reports[i] if reports else None for i in waiting], strict=True
        )
    ]
    related = [lineages[i] if lineages else SINGLE for i in waiting]
    runs = list(zip(configs, paths, inputs, related, displays, strict=True))

    def of_tokens() -> Evaluation:
        return token_evaluation(first, mesh, windows[0], execution)

    held_out = HeldOutSets(inputs[0].held_out, compiled.evaluate, of_tokens)
    trained = _train(runs, mesh, compiled, held_out, tasks, noise, watch, checkpoint_seconds, track)
    for i, result in zip(waiting, trained, strict=True):
        done[i] = result
    return [result for result in done if result is not None]


def _begin_directories(
    configs: Sequence[RunConfig], paths: Sequence[epath.Path], inputs: Sequence[Inputs]
) -> None:
    ours = [each.texts for each in inputs]
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


def _result(path: epath.Path, config: RunConfig) -> Result | None:
    """The result of a run, in the first process; None without one, or with a damaged one.

    A run with a damaged result is evaluated again from its last checkpoint.
    """
    try:
        return read_result(path, config) if is_first() else None
    except DamagedResultError:
        return None
    except FaultyResultError as error:
        raise InputError(
            f"{path}: {error}: restore the file, or delete {path} to train the run again"
        ) from error


def _make(path: epath.Path, config: RunConfig) -> None:
    """Make the directory of a run, and store its configuration there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / CONFIG_FILE).exists():
            write_text_atomically(path / CONFIG_FILE, config.to_json())
        record_module(path, config)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}; give a directory that can be written"
        ) from error


Display = Callable[[int], AbstractContextManager[Report]]


def _train(
    runs: Sequence[tuple[RunConfig, epath.Path, Inputs, Lineage, Display]],
    mesh: Mesh,
    compiled: Programs,
    held_out: HeldOutSets,
    tasks: TaskSets,
    noise: NoiseMeasurement | None,
    watch: Stopwatch,
    checkpoint_seconds: float,
    trackers: Sequence[str],
) -> list[Result]:
    with ExitStack() as stack:
        stop = stack.enter_context(stop_request())
        for signum in gathered(stop.signum):
            stop.signum = stop.signum or signum
        stop.raise_if_requested()
        with watch.part("initialize"):
            begun = [_begin(stack, compiled, trackers, *run) for run in runs]
            peak = hardware.local_peak_flops(runs[0][0].precision)
            tracks, states = zip(*begun, strict=True)
            tools = Tools(stop, watch, checkpoint_seconds, peak, noise)
            states = jax.block_until_ready(states)
            loop = Loop(tracks, states, mesh, compiled, held_out, tasks, tools)
            if any(track.evaluated for track in tracks):
                # Otherwise the first point of a curve would take the time of compiling this.
                jax.block_until_ready(loop.state(0))
        del begun, states
        _timed(loop, watch)
        loop.measure(range(len(tracks)))
        with watch.part("evaluate"):
            ends = [_at_end(loop, i, track, held_out, tasks) for i, track in enumerate(tracks)]
        with watch.part("checkpoint"):
            for track in tracks:
                track.checkpoints.wait()

    def written() -> list[dict]:
        paths = [path for _, path, *_ in runs]
        results = [
            measured(track, path, at_end, watch, len(tracks), compiled.execution, mesh)
            for track, path, at_end in zip(tracks, paths, ends, strict=True)
        ]
        for i, (track, path) in enumerate(zip(tracks, paths, strict=True)):
            at_end = ends[i]
            if at_end and at_end.details is not None and results[i].status == "finished":
                digest = write_details(path, at_end.details)
                results[i] = dataclasses.replace(results[i], details=digest)
            write_result(path, results[i], track.config)
        return [dataclasses.asdict(result) for result in results]

    return [Result(**result) for result in from_first(written)]


def _begin(
    stack: ExitStack,
    compiled: Programs,
    trackers: Sequence[str],
    config: RunConfig,
    path: epath.Path,
    inputs: Inputs,
    lineage: Lineage,
    display: Display,
) -> tuple[Track, State]:
    """The track and the state of a run at its last checkpoint or its start.

    Its checkpoints, metrics and progress bar stay open until `stack` is closed.
    """
    kept, evaluated = lineage.kept, frozenset(config.evaluation_steps[:-1])
    measured_at = frozenset(config.noise_steps[:-1])
    checkpoints = stack.enter_context(open_checkpoints(path / CHECKPOINTS, kept))
    # Continuing after the last metric without a gap keeps every step in the loss curve.
    restored = checkpoints.restore(
        compiled.abstract_state,
        at_most=from_first(lambda: _without_gap(path, evaluated, measured_at)),
    )
    step, state = restored or _first(compiled, config, path, lineage.origin)
    curve = evaluated if config.keeps_evaluations else None
    noise = None if config.noise_scale is None else measured_at
    tracked = tracked_run(config, path, step)

    def opened() -> list[Tracker]:
        return [open_tracker(name, tracked) for name in trackers]

    metrics = stack.enter_context(open_metrics(path, step, curve, noise, opened))
    report = stack.enter_context(display(step))
    return (
        Track(config, inputs, checkpoints, metrics, report, step, kept, evaluated, measured_at),
        state,
    )


def _without_gap(path: epath.Path, evaluated: Iterable[int], measured: Iterable[int]) -> int:
    """The last step before the first gap in the run's curves."""
    held_out = evaluated_without_gap(read_evaluations(path), evaluated)
    noise = evaluated_without_gap(read_noise(path), measured)
    return int(min(steps_without_gap(path), held_out, noise))


def _first(
    compiled: Programs, config: RunConfig, path: epath.Path, origin: Origin | None
) -> tuple[int, State]:
    if config.start is not None:
        return 0, start_from(origin, path, compiled.abstract_state)
    if origin is not None:
        before = [step for step in config.evaluation_steps if step <= origin.step]
        noise = [step for step in config.noise_steps if step <= origin.step]
        state = begin_from(origin, path, compiled.abstract_state, before, noise)
        if state is not None:
            return origin.step, state
    return 0, compiled.init(jax.random.key(config.seed))


def _timed(loop: Loop, watch: Stopwatch) -> None:
    """Run the loop; its time that no other part of `watch` counts is counted as `train`."""
    before, start = sum(watch.seconds.values()), time.perf_counter()
    loop.run()
    elapsed = time.perf_counter() - start
    watch.seconds["train"] += elapsed - (sum(watch.seconds.values()) - before)


def _at_end(
    loop: Loop, i: int, track: Track, held_out: HeldOutSets, tasks: TaskSets
) -> AtEnd | None:
    """What is measured at the end of run `i`, on every window; None for a run that diverged."""
    if not track.healthy:
        return None
    params, tokens = weights_of(loop.state(i)), track.step * track.config.tokens_per_step
    losses, found = held_out.at_end(params), tasks.at_end(params)
    last = held_out.last_point(losses, track.config), tasks.last_point(found)
    track.metrics.add_evaluation(track.step, tokens, *last)
    track.metrics.flush()
    details = held_out.details(params, losses) if track.config.eval_details else None
    return AtEnd(held_out.means(losses), tasks.scores(found), details)
