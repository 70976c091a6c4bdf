"""The result of a run, and its file `result.json`."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import Literal

from etils import epath

from scaling_jax.config import from_dict
from scaling_jax.system.files import read_text, write_text_atomically

Status = Literal["finished", "diverged"]

RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Result:
    """The result of one run; losses are in nats per token, and None if the run diverged.

    Attributes:
        status: finished, or diverged (stopped by a non-finite loss or gradient).
        steps: optimizer steps taken.
        tokens: training tokens; `unique_tokens` is the number of distinct ones.
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
        code: commit of this package's source, and whether files have changed since.
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
    code: dict = field(default_factory=dict)


def write_result(directory: epath.Path, result: Result) -> None:
    """Write `result.json`, which marks the run as finished or diverged."""
    text = json.dumps(dataclasses.asdict(result), indent=1, allow_nan=False)
    write_text_atomically(directory / RESULT_FILE, text)


def read_result(directory: epath.Path) -> Result | None:
    """The result of the run in `directory`; None if there is no result, or a damaged one.

    A run with a damaged result is evaluated again from its last checkpoint.

    Raises:
        InputError: a result with other fields than those of this version of the package.
    """
    path = directory / RESULT_FILE
    try:
        written = json.loads(read_text(path))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return from_dict(Result, written, os.fspath(path))
