"""Training of one run, or of several side by side, from configuration to result."""

import dataclasses
import os
from collections.abc import Sequence
from functools import partial

import jax
from etils import epath
from jax.sharding import Mesh

from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.execution import DEFAULT, Execution
from scaling_jax.forked import refuse_forked
from scaling_jax.mesh_spec import MeshSpec, check_noise
from scaling_jax.runs.code import code_state
from scaling_jax.runs.module_file import record_module, require_module
from scaling_jax.runs.progress_bar import Report, progress_bar
from scaling_jax.runs.result import DamagedResultError, FaultyResultError, Result, read_result
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.runs.tracking import checked_track
from scaling_jax.system.agreement import from_first, is_first, together
from scaling_jax.system.files import absolute, write_text_atomically
from scaling_jax.train import mesh as layout
from scaling_jax.train.held_out import HeldOutSets, n_evaluated_at_once
from scaling_jax.train.inputs import Inputs, check_same_text, load_inputs
from scaling_jax.train.lineage import SINGLE, Lineage
from scaling_jax.train.noise_scale import noise_measurement
from scaling_jax.train.one_program import train_to_end
from scaling_jax.train.preflight import (
    CONFIG_FILE,
    check_directories,
    check_processes_agree,
    check_same_program,
)
from scaling_jax.train.programs import Evaluation, programs, token_evaluation
from scaling_jax.train.scoring import Scoring
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
    trained = train_to_end(
        runs, mesh, compiled, held_out, tasks, noise, watch, checkpoint_seconds, track
    )
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
