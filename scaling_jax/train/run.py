"""One run from its configuration to its result."""

import dataclasses
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib import metadata

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh

from scaling_jax import hardware
from scaling_jax.config import RunConfig
from scaling_jax.train import mesh as layout
from scaling_jax.train.checkpoint import open_checkpoints
from scaling_jax.train.distributed import from_first, gathered, is_first, together
from scaling_jax.train.evaluate import held_out_loss, smoothed_loss
from scaling_jax.train.execution import DEFAULT, Execution
from scaling_jax.train.inputs import Inputs, check_same_text, load_inputs
from scaling_jax.train.loop import Loop, Tools
from scaling_jax.train.metrics import open_metrics, read_metrics
from scaling_jax.train.preemption import stop_request
from scaling_jax.train.programs import Programs, programs
from scaling_jax.train.progress import Report, progress_bar
from scaling_jax.train.result import Result, read_result, write_result
from scaling_jax.train.timing import Stopwatch

CHECKPOINT_SECONDS = 60.0

_RECORDED_PACKAGES = ("scaling_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


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
) -> Result:
    """Train `config` in `directory`, continuing from its last checkpoint, and return its result.

    A finished or diverged run is returned as it is. Killed at any moment and started again,
    a run ends as if it had never stopped, bit for bit on a CPU. `execution` says how it is
    computed. `report`, if given, is called now and then with (step, training loss, tokens/s).

    Raises:
        InputError: the corpus is too short, the tokenizer does not fit the shape, the batch
            does not divide over the devices, `execution` is not possible; all before training.
        Preempted: SIGTERM or SIGINT arrived; the state is saved.
    """
    path = epath.Path(directory)
    done = read_result(path)
    if done is not None:
        return done
    progress = progress and is_first()
    mesh = mesh or layout.mesh_for(
        config.shape, config.batch_size, execution.mesh, accumulate=execution.accumulate
    )
    # Programs resolve it again; this refuses what cannot run before the text is read.
    execution.resolved(config, mesh.devices.flat[0].platform, mesh.size)
    watch = Stopwatch()
    display = partial(progress_bar, config.run_id, config.steps, progress, report)
    with watch.part("data"), together():
        inputs = load_inputs(config, cache_dir, progress)
    with together():
        path.mkdir(parents=True, exist_ok=True)
        for fingerprint in {inputs.fingerprint, from_first(lambda: inputs.fingerprint)}:
            check_same_text(path, fingerprint)
    with watch.part("compile"):
        compiled = programs(config, mesh, len(inputs.held_out_KxBxT1), execution)
    return _train(config, path, mesh, compiled, inputs, watch, checkpoint_seconds, display)


def _train(
    config: RunConfig,
    directory: epath.Path,
    mesh: Mesh,
    compiled: Programs,
    inputs: Inputs,
    watch: Stopwatch,
    checkpoint_seconds: float,
    display: Callable[[int], AbstractContextManager[Report]],
) -> Result:
    with stop_request() as stop, open_checkpoints(directory / "checkpoints") as checkpoints:
        for signum in gathered(stop.signum):
            stop.signum = stop.signum or signum
        stop.heed()
        start = checkpoints.latest_step()
        with open_metrics(directory, start or 0) as metrics, display(start or 0) as report:
            peak = hardware.local_peak_flops(config.precision)
            tools = Tools(checkpoints, metrics, report, stop, watch, checkpoint_seconds, peak)
            loop = Loop(config, mesh, compiled, inputs, tools)
            with watch.part("initialize"):
                loop.restore(start)
                jax.block_until_ready(loop.state)
            _timed(loop, watch)
            losses = _evaluate(loop, compiled, inputs, mesh, watch)
        with watch.part("checkpoint"):
            checkpoints.wait()

    def written() -> dict:
        result = _result(config, directory, loop, inputs, losses, watch)
        write_result(directory, result)
        return dataclasses.asdict(result)

    return Result(**from_first(written))


def _timed(loop: Loop, watch: Stopwatch) -> None:
    """Run the loop; its time not spent on input, metrics or checkpoints is the step's."""
    before, start = sum(watch.seconds.values()), time.perf_counter()
    loop.run()
    elapsed = time.perf_counter() - start
    watch.seconds["train"] += elapsed - (sum(watch.seconds.values()) - before)


def _evaluate(
    loop: Loop, compiled: Programs, inputs: Inputs, mesh: Mesh, watch: Stopwatch
) -> np.ndarray | None:
    if not loop.healthy:
        return None
    with watch.part("evaluate"):
        batch_size = inputs.held_out_KxBxT1.shape[1]
        rows_KxRxT1 = inputs.held_out_KxBxT1[:, layout.local_rows(mesh, batch_size)]
        tokens = layout.put_batches(rows_KxRxT1, mesh, batch_size)
        return np.asarray(compiled.evaluate(loop.state["params"], tokens))


def _result(
    config: RunConfig,
    directory: epath.Path,
    loop: Loop,
    inputs: Inputs,
    loss_KxB: np.ndarray | None,
    watch: Stopwatch,
) -> Result:
    curve = [row["loss"] for row in read_metrics(directory)]
    held_out = None if loss_KxB is None else held_out_loss(loss_KxB, inputs.bytes_per_token)
    finished = held_out is not None and np.isfinite(held_out.loss)
    train_seconds = watch.seconds["train"]
    return Result(
        status="finished" if finished else "diverged",
        steps=loop.step,
        tokens=loop.step * config.tokens_per_step,
        unique_tokens=min(inputs.unique_tokens, loop.step * config.tokens_per_step),
        loss=held_out.loss if held_out and finished else None,
        loss_stderr=held_out.stderr if held_out and finished else None,
        bits_per_byte=held_out.bits_per_byte if held_out and finished else None,
        train_loss=smoothed_loss(curve) if finished else None,
        tokens_per_second=loop.tokens_trained / train_seconds if train_seconds else None,
        data_fingerprint=inputs.fingerprint,
        device=jax.devices()[0].device_kind,
        packages={name: _version(name) for name in _RECORDED_PACKAGES},
        seconds=watch.rounded(),
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
