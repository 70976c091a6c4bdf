"""The result of a run, and its file `result.json`, which is checked against the run."""

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from typing import Any, Literal

from etils import epath

from scaling_jax.config import RunConfig, from_dict
from scaling_jax.config.strict import parsed_json
from scaling_jax.errors import InputError
from scaling_jax.system.files import as_path, read_text, write_text_atomically

Status = Literal["finished", "diverged"]

RESULT_FILE = "result.json"

# In the file beside the fields of `Result`; results of earlier versions have neither.
_RUN_ID, _CHECKSUM = "run_id", "checksum"


@dataclass(frozen=True)
class Result:
    """The result of one run; losses are in nats per token, and None if the run diverged.

    Attributes:
        status: finished, or diverged (stopped by a non-finite loss or gradient).
        steps: optimizer steps taken.
        tokens: training tokens; `unique_tokens` is the number of distinct ones.
        text_tokens: number of distinct tokens that there were to read, the run's limit of unique
            tokens counted; None in results of earlier versions.
        loss: held-out loss after the last step, computed in float32.
        loss_stderr: standard error of `loss` over held-out sequences; None for a single sequence.
        bits_per_byte: `loss` in bits per byte of the held-out text; None under a lossy tokenizer.
        train_loss: smoothed training loss at the end.
        tokens_per_second: training speed of the process that finished the run.
        data_fingerprint: hash of the tokenized corpus.
        device: JAX's kind of the devices.
        begun_at: step of the checkpoint of another run that this run started from, or 0.
        note: why the run has this status, if not through its own training.
        packages: versions of Python and of packages.
        seconds: wall time by part, of the process that finished the run. Runs that were trained
            side by side divide it equally.
        devices: number of devices.
        side_by_side: number of runs trained in one program, including this one.
        computed_by: what the backward pass recomputed, number of microbatches, and mesh; empty in
            results of earlier versions.
        code: commit of this package's source, and whether files have changed since.
        curve: digest of the loss curve; None in results of earlier versions.
        evaluations: digest of the held-out curve; None for a run that keeps none.
        evaluation_flops: FLOPs of the run's own held-out evaluations, which no other count of
            FLOPs includes; None for a run that keeps no held-out curve.
        held_out: by column of the record, for each held-out set: the loss at the end, its standard
            error, bits per byte, the lowest loss and the tokens at which it was.
        details: digest of the losses by window and position; None for a run that keeps none.
        noise_curve: digest of the measurements of the gradient noise; None for a run without.
        noise_scale: by column of the record: the gradient noise scale in tokens over the last half
            of the run, the ends of its 95 % interval, and the FLOPs of the run's own measurements,
            which no other count of FLOPs includes.
    """

    status: Status
    steps: int
    tokens: int
    unique_tokens: int
    loss: float | None
    loss_stderr: float | None
    bits_per_byte: float | None
    train_loss: float | None
    tokens_per_second: float | None
    data_fingerprint: str
    device: str
    begun_at: int = 0
    note: str | None = None
    packages: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    devices: int = 1
    side_by_side: int = 1
    computed_by: dict = field(default_factory=dict)
    code: dict = field(default_factory=dict)
    curve: str | None = None
    evaluations: str | None = None
    evaluation_flops: int | None = None
    held_out: dict = field(default_factory=dict)
    details: str | None = None
    noise_curve: str | None = None
    noise_scale: dict = field(default_factory=dict)
    text_tokens: int | None = None


class FaultyResultError(InputError):
    """A `result.json` that cannot be the result of the run in its directory."""


class DamagedResultError(InputError):
    """A `result.json` that is not JSON, as after a crash of a file system."""


def write_result(directory: epath.Path, result: Result, config: RunConfig) -> None:
    """Write `result.json`, which marks the run of `config` as finished or diverged."""
    written = dataclasses.asdict(result) | {_RUN_ID: config.run_id}
    written[_CHECKSUM] = _checksum(written)
    text = json.dumps(written, indent=1, allow_nan=False)
    write_text_atomically(directory / RESULT_FILE, text)


def is_run(path: os.PathLike | str) -> bool:
    """Whether a directory is that of a run, finished or not."""
    return (as_path(path) / "config.json").exists()


def read_result(directory: epath.Path, config: RunConfig) -> Result | None:
    """The result of the run of `config` in `directory`; None if there is none.

    Results of earlier versions, without a run id and a checksum, are checked as far as possible.

    Raises:
        DamagedResultError: the file is not JSON.
        FaultyResultError: the file cannot be opened, was changed, belongs to another run, has other
            fields than a result of this version, or contradicts the run's configuration.
    """
    path = directory / RESULT_FILE
    try:
        written = parsed_json(read_text(path), "its text")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (IsADirectoryError, PermissionError) as error:
        raise FaultyResultError(f"{RESULT_FILE} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DamagedResultError(f"{RESULT_FILE} is damaged ({error})") from error
    try:
        result = _checked(written, path, config)
    except InputError as error:
        raise FaultyResultError(str(error)) from error
    if problem := _contradiction(result, config):
        raise FaultyResultError(f"{RESULT_FILE} {problem}")
    return result


def _checked(written: Any, path: epath.Path, config: RunConfig) -> Result:
    if not isinstance(written, dict):
        raise InputError(f"{RESULT_FILE} must be an object, not {str(written)[:80]!r}")
    run_id, checksum = written.pop(_RUN_ID, None), written.pop(_CHECKSUM, None)
    # A run that an earlier version stored has the id that it had then, its directory's name.
    if run_id not in (None, config.run_id, path.parent.name):
        raise InputError(f"{RESULT_FILE} is the result of another run, {run_id}")
    if checksum is not None and checksum != _checksum(written | {_RUN_ID: run_id}):
        raise InputError(f"{RESULT_FILE} was changed after it was written: its checksum differs")
    return from_dict(Result, written, RESULT_FILE)


def _checksum(written: dict[str, Any]) -> str:
    text = json.dumps(written, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _contradiction(result: Result, config: RunConfig) -> str | None:
    """What in the result cannot be true of a run of `config`; None if nothing."""
    least = config.steps if result.status == "finished" else 0
    if not least <= result.steps <= config.steps:
        return f"has {result.steps:,} steps, but the run's configuration {config.steps:,}"
    tokens = result.steps * config.tokens_per_step
    if result.tokens != tokens:
        return f"has {result.tokens:,} tokens, but {result.steps:,} steps take {tokens:,}"
    if not 0 <= result.begun_at <= result.steps:
        return f"begins at step {result.begun_at:,} of {result.steps:,}"
    if result.status == "diverged":
        return None if result.loss is None else f"has diverged with a loss of {result.loss}"
    if result.loss is None or not 0 < result.loss < math.inf:
        return f"has the loss {result.loss}, which must be positive and finite"
    for name in ("loss_stderr", "bits_per_byte", "train_loss"):
        value = getattr(result, name)
        if value is not None and not 0 <= value < math.inf:
            return f"has {name} {value}, which must be finite and not negative"
    return None
