"""The result of a run, from its loop, its loss curve and its held-out losses."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh

from scaling_jax.accounting.evaluation import evaluation_flops, noise_flops
from scaling_jax.config import RunConfig
from scaling_jax.config.evaluation import HELD_OUT
from scaling_jax.execution import Execution
from scaling_jax.mesh_spec import describe
from scaling_jax.runs.code import code_state
from scaling_jax.runs.curve import curve_digest, smoothed_loss
from scaling_jax.runs.curve_files import read_evaluations, read_metrics, read_noise
from scaling_jax.runs.details import HeldOutDetails
from scaling_jax.runs.held_out import HeldOutLoss, evaluations_digest, set_record
from scaling_jax.runs.noise_scale import noise_digest, noise_record
from scaling_jax.runs.result import Result
from scaling_jax.runs.task_score import task_record
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.train.lineage import begun_at
from scaling_jax.train.task_sets import Scores, task_flops
from scaling_jax.train.track import Track

_RECORDED_PACKAGES = ("scaling_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclass(frozen=True)
class AtEnd:
    """What is measured after the last step: the loss on each set, and the score on each task.

    Details of the losses are measured for runs that keep them.
    """

    losses: Mapping[str, HeldOutLoss]
    scores: Scores
    details: Mapping[str, HeldOutDetails] | None


def measured(
    track: Track,
    directory: epath.Path,
    at_end: AtEnd | None,
    watch: Stopwatch,
    n_runs: int,
    execution: Execution,
    mesh: Mesh,
) -> Result:
    """The result of a run that has ended; `at_end` is None if it diverged."""
    config, inputs = track.config, track.inputs
    curve = read_metrics(directory)
    # Only the run's own text counts: a run whose loss on a further set is not finite has finished.
    held_out = None if at_end is None else at_end.losses[HELD_OUT]
    finished = held_out is not None and np.isfinite(held_out.loss)
    evaluations = read_evaluations(directory) if config.keeps_evaluations else []
    return Result(
        status="finished" if finished else "diverged",
        steps=track.step,
        tokens=track.step * config.tokens_per_step,
        unique_tokens=inputs.batches.unique_tokens(track.step),
        text_tokens=inputs.batches.text_tokens,
        loss=held_out.loss if held_out and finished else None,
        loss_stderr=held_out.stderr if held_out and finished else None,
        bits_per_byte=held_out.bits_per_byte if held_out and finished else None,
        train_loss=smoothed_loss([row["loss"] for row in curve]) if finished else None,
        tokens_per_second=(
            track.tokens_trained / track.seconds_trained if track.seconds_trained else None
        ),
        data_fingerprint=inputs.fingerprint,
        device=jax.devices()[0].device_kind,
        begun_at=begun_at(directory),
        packages=packages(),
        seconds=watch.shares(n_runs),
        devices=mesh.size,
        side_by_side=n_runs,
        code=dict(code_state()),
        computed_by={
            "remat": execution.policy,
            "accumulate": execution.microbatches,
            "mesh": describe(dict(mesh.shape)),
        },
        curve=curve_digest(curve),
        **_evaluated(track, evaluations, at_end if finished else None, begun_at(directory)),
        **_noise(config, read_noise(directory), begun_at(directory)),
    )


def _evaluated(
    track: Track,
    rows: Sequence[Mapping[str, Any]],
    at_end: AtEnd | None,
    begun_at: int,
) -> dict[str, Any]:
    """What the result of a run with a held-out curve has more; nothing without a curve."""
    config = track.config
    if not config.keeps_evaluations:
        return {}
    losses = {} if at_end is None else at_end.losses
    records = [set_record(name, rows, losses.get(name)) for name in track.inputs.held_out]
    scores = {} if at_end is None else at_end.scores
    records += [task_record(name, scores.get(name)) for name in track.inputs.tasks]
    records += [{f"questions_in_text_{name}": n for name, n in track.inputs.in_text.items()}]
    return {
        "evaluations": evaluations_digest(rows),
        "evaluation_flops": _evaluation_flops(track, rows, begun_at),
        "held_out": {name: value for record in records for name, value in record.items()},
    }


def _noise(config: RunConfig, rows: Sequence[Mapping[str, Any]], begun_at: int) -> dict[str, Any]:
    """What the result of a run that measures its gradient noise has more; nothing without."""
    if config.noise_scale is None:
        return {}
    spent = noise_flops(config, sum(row["step"] > begun_at for row in rows))
    return {
        "noise_curve": noise_digest(rows),
        "noise_scale": {**noise_record(rows, config), "noise_scale_flops": spent},
    }


def _evaluation_flops(track: Track, rows: Sequence[Mapping[str, Any]], begun_at: int) -> int:
    """FLOPs of the run's own evaluations: the forward pass of each window and each request."""
    config = track.config
    own = [row["step"] for row in rows if row["step"] > begun_at]
    at_end = track.step in own and track.step == config.steps
    n_points = len(own) - at_end
    tasks = task_flops(config, track.inputs.tasks, n_points, at_end)
    return evaluation_flops(config, n_points, int(at_end), track.inputs.windows) + tasks


def packages() -> dict[str, str]:
    """Versions of Python and of the packages that affect a run's numbers."""
    versions = {name: _version(name) for name in _RECORDED_PACKAGES}
    return {"python": platform.python_version(), **versions}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
