"""The result of a run, from its loop, its loss curve and its held-out losses."""

import platform
from importlib import metadata

import jax
import numpy as np
from etils import epath

from scaling_jax.runs.code import code_state
from scaling_jax.runs.curve import curve_digest, smoothed_loss
from scaling_jax.runs.metrics import read_metrics
from scaling_jax.runs.result import Result
from scaling_jax.runs.timing import Stopwatch
from scaling_jax.train.evaluate import held_out_loss
from scaling_jax.train.lineage import begun_at
from scaling_jax.train.loop import Track

_RECORDED_PACKAGES = ("scaling_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def measured(
    track: Track,
    directory: epath.Path,
    loss_N: np.ndarray | None,
    watch: Stopwatch,
    n_runs: int,
    n_devices: int,
) -> Result:
    """The result of a run that has ended; its held-out losses `loss_N` are None if it diverged."""
    config, inputs = track.config, track.inputs
    curve = read_metrics(directory)
    held_out = None if loss_N is None else held_out_loss(loss_N, inputs.bytes_per_token)
    finished = held_out is not None and np.isfinite(held_out.loss)
    return Result(
        status="finished" if finished else "diverged",
        steps=track.step,
        tokens=track.step * config.tokens_per_step,
        unique_tokens=inputs.batches.unique_tokens(track.step),
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
        devices=n_devices,
        side_by_side=n_runs,
        code=dict(code_state()),
        curve=curve_digest(curve),
    )


def packages() -> dict[str, str]:
    """Versions of Python and of the packages that affect a run's numbers."""
    versions = {name: _version(name) for name in _RECORDED_PACKAGES}
    return {"python": platform.python_version(), **versions}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
