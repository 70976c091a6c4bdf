"""What a finished run reports, and how it is stored."""

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
    """Outcome of one run; losses in nats per token, None where the run diverged.

    Attributes:
        status: finished, or diverged (a non-finite loss or gradient stopped it).
        steps: updates taken.
        tokens: training tokens seen; `unique_tokens` of them distinct.
        loss: held-out loss at the end of the horizon, float32 forward.
        loss_stderr: its standard error over held-out sequences, None of a single one.
        bits_per_byte: the same loss per byte of held-out text.
        train_loss: smoothed training loss at the end.
        begun_at: step after which it began, at a checkpoint of another run; 0 for the first.
        note: why it is so, where that is not of its own doing.
        seconds: where the wall time of the process that finished the run went; of runs that
            trained side by side, an equal share.
        devices: how many trained it.
        side_by_side: runs that shared them in one program, this one included.
        code: commit of this package's source and whether it was changed, where it is a clone.
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
    """Write `result.json`, the mark that the run is over."""
    text = json.dumps(dataclasses.asdict(result), indent=1, allow_nan=False)
    write_text_atomically(directory / RESULT_FILE, text)


def read_result(directory: epath.Path) -> Result | None:
    """The result of the run in `directory`, or None while it has none that is whole.

    A run whose result is damaged is not over: it is evaluated again from its last checkpoint.

    Raises:
        InputError: a result with other fields than this package writes.
    """
    path = directory / RESULT_FILE
    try:
        written = json.loads(read_text(path))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return from_dict(Result, written, os.fspath(path))
