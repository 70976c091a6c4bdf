"""Runs of one program, from their last checkpoints to their results."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack

import jax
from etils import epath
from jax.sharding import Mesh

from scaling_jax.accounting import hardware
from scaling_jax.config import RunConfig
from scaling_jax.runs.curve_files import read_evaluations, read_noise, steps_without_gap
from scaling_jax.runs.details import write_details
from scaling_jax.runs.held_out import evaluated_without_gap
from scaling_jax.runs.metrics import open_metrics
from scaling_jax.runs.progress_bar import Report
from scaling_jax.runs.result import Result, write_result
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.runs.tracking import Tracker, open_tracker, tracked_run
from scaling_jax.system.agreement import from_first, gathered
from scaling_jax.system.preemption import stop_request
from scaling_jax.train.checkpoint import CHECKPOINTS, open_checkpoints
from scaling_jax.train.held_out import HeldOutSets
from scaling_jax.train.inputs import Inputs
from scaling_jax.train.lineage import Lineage, Origin, begin_from, start_from
from scaling_jax.train.loop import Loop, Tools
from scaling_jax.train.noise_scale import NoiseMeasurement
from scaling_jax.train.outcome import AtEnd, measured
from scaling_jax.train.programs import Programs
from scaling_jax.train.step import State, weights_of
from scaling_jax.train.task_sets import TaskSets
from scaling_jax.train.track import Track

Display = Callable[[int], AbstractContextManager[Report]]


def train_to_end(
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
    """Train runs that share a program from where they are to their ends, and store the results.

    Args:
        runs: the configuration, directory, text and lineage of each run, and what opens its
            progress bar at a step.
        mesh, compiled: the device mesh and the programs.
        held_out, tasks, noise: what the runs are measured on.
        watch: counts the time of each part.
        checkpoint_seconds: time between checkpoints.
        trackers: trackers beside TensorBoard.

    Raises:
        Preempted: SIGTERM or SIGINT arrived; the states are saved.
    """
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
