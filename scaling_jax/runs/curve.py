"""A run's loss curve as a whole: its end, its digest, and whether it is that of a finished run."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scaling_jax.config import RunConfig
from scaling_jax.runs.result import Result

# The mean over the last steps can differ in the last digits between versions of NumPy.
_ROUNDING = 1e-9

_LARGEST_COUNT = 2**63

Row = Mapping[str, Any]


def row_in(line: str | bytes) -> dict[str, Any] | None:
    """The row of a loss curve that a line holds; None where the line is damaged.

    A row has a step, the tokens up to it, and a loss, which is null where it was not finite.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    counts, loss = (row.get("step"), row.get("tokens")), row.get("loss")
    if not all(type(n) is int and 0 <= n < _LARGEST_COUNT for n in counts):
        return None
    return row if loss is None or type(loss) in (int, float) else None


def smoothed_loss(losses: Sequence[float], share: float = 0.05, least: int = 10) -> float:
    """Mean of the last fraction `share` of the training losses, but at least of `least` steps."""
    window = max(least, round(share * len(losses)))
    return float(np.mean(losses[-window:]))


def curve_digest(rows: Sequence[Row]) -> str:
    """A hash of the steps, tokens and losses of a curve, which a run's result holds."""
    text = json.dumps([[row["step"], row.get("tokens"), row.get("loss")] for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def curve_fault(rows: Sequence[Row], result: Result, config: RunConfig) -> str | None:
    """Why `rows` cannot be the whole curve of a finished run with this result; None if they can.

    A finished run has each step once, in order, with its tokens and a finite loss.
    """
    if len(rows) < config.steps:
        return f"ends or is damaged after {len(rows):,} of {config.steps:,} steps"
    if len(rows) > config.steps:
        return f"has {len(rows):,} lines for {config.steps:,} steps"
    for step, row in enumerate(rows, start=1):
        if row["step"] != step:
            return f"has step {row['step']:,} where step {step:,} belongs"
        if row.get("tokens") != step * config.tokens_per_step:
            expected = f"{step * config.tokens_per_step:,}"
            return f"has tokens {row.get('tokens')} at step {step:,}, not {expected}"
        loss = row.get("loss")
        if isinstance(loss, bool) or not isinstance(loss, int | float) or not 0 <= loss < math.inf:
            return f"has the loss {loss} at step {step:,}, which must be finite and not negative"
    if result.curve is not None and result.curve != curve_digest(rows):
        return "was changed after the run had ended, or belongs to another run"
    if result.curve is None and result.train_loss is not None:
        end = smoothed_loss([row["loss"] for row in rows])
        if not math.isclose(end, result.train_loss, rel_tol=_ROUNDING):
            return f"ends at a loss of {end:.6g}, but the result at {result.train_loss:.6g}"
    return None
