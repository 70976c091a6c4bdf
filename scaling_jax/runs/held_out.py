"""Held-out losses of a run: one measurement, the curve of them on disk, and its summary."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.config import RunConfig
from scaling_jax.config.evaluation import HELD_OUT

EVALUATIONS_FILE = "evaluations.jsonl"


@dataclass(frozen=True)
class HeldOutLoss:
    """Mean held-out loss (nats/token), its standard error over sequences, and bits per byte.

    `stderr` is None for a single sequence.
    """

    loss: float
    stderr: float | None
    bits_per_byte: float | None

    def __str__(self) -> str:
        spread = "" if self.stderr is None else f" ± {self.stderr:.4f}"
        bits = "" if self.bits_per_byte is None else f", {self.bits_per_byte:.4f} bits per byte"
        return f"loss {self.loss:.4f}{spread} nats per token{bits}"


def held_out_loss(loss_N: np.ndarray, bytes_per_token: float | None) -> HeldOutLoss:
    """The mean of the losses `loss_N` (nats/token) of equally long sequences, in float64."""
    # Tokens of a sequence are not independent, so the standard error is over sequences.
    losses = np.asarray(loss_N, np.float64)
    loss = float(losses.mean())
    stderr = float(losses.std(ddof=1) / math.sqrt(losses.size)) if losses.size > 1 else None
    bits = None if bytes_per_token is None else loss / math.log(2) / bytes_per_token
    return HeldOutLoss(loss, stderr, bits)


def loss_column(name: str) -> str:
    """The column of the loss on a set: `loss` on the run's own text, else `loss_<name>`."""
    return "loss" if name == HELD_OUT else f"loss_{name}"


def evaluation_row(step: int, tokens: int, losses: Mapping[str, HeldOutLoss]) -> dict[str, Any]:
    """The row of a held-out curve after `step` steps, with a loss and an error for each set."""
    row: dict[str, Any] = {"step": step, "tokens": tokens}
    for name, found in losses.items():
        row[loss_column(name)] = found.loss
        row[f"{loss_column(name)}_stderr"] = found.stderr
    return row


def evaluated_without_gap(rows: Iterable[Mapping[str, Any]], steps: Iterable[int]) -> float:
    """The last step before which no evaluation of `steps` is missing from `rows`."""
    there = {row["step"] for row in rows}
    return min((step - 1 for step in steps if step not in there), default=math.inf)


def evaluations_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """A hash of a held-out curve, which a run's result holds."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:32]


def evaluations_fault(
    rows: Sequence[Mapping[str, Any]], digest: str | None, config: RunConfig
) -> str | None:
    """Why `rows` cannot be the held-out curve of a finished run; None if they can."""
    if [row["step"] for row in rows] != list(config.evaluation_steps):
        n = len(config.evaluation_steps)
        return f"has {len(rows):,} of {n:,} evaluations, or is damaged"
    if digest != evaluations_digest(rows):
        return "was changed after the run had ended, or belongs to another run"
    return None


def set_record(
    name: str, rows: Sequence[Mapping[str, Any]], end: HeldOutLoss | None
) -> dict[str, Any]:
    """What the record of a run has for one set beside `Result.loss`, by column.

    The columns are the lowest loss of the curve and the tokens at which it was, and for a further
    set the loss at the end (`end`; None for a diverged run), its standard error and bits per byte.
    The lowest loss is `end` minus the rise of the curve from its lowest point to its last one. So
    the two are measured on the same windows, and are equal where the curve is lowest at its end.
    """
    column = loss_column(name)
    record: dict[str, Any] = {f"{column}_least": None, f"{column}_least_tokens": None}
    if name != HELD_OUT:
        measured = end if end is not None and math.isfinite(end.loss) else None
        record |= {
            column: measured and measured.loss,
            f"{column}_stderr": measured and measured.stderr,
            f"bits_per_byte_{name}": measured and measured.bits_per_byte,
        }
    known = [row for row in rows if row.get(column) is not None]
    if known:
        least = min(known, key=lambda row: row[column])
        record[f"{column}_least"] = least[column]
        if end is not None and known[-1] is rows[-1]:
            # Exactly the loss at the end where that is the least.
            record[f"{column}_least"] = end.loss - (rows[-1][column] - least[column])
        record[f"{column}_least_tokens"] = least["tokens"]
    return record
