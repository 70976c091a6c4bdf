"""Held-out loss with its standard error, and bits per byte."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HeldOutLoss:
    """Mean held-out loss (nats/token), its standard error over sequences, and bits per byte.

    A single sequence has no standard error.
    """

    loss: float
    stderr: float | None
    bits_per_byte: float


def held_out_loss(loss_KxB: np.ndarray, bytes_per_token: float) -> HeldOutLoss:
    """Average per-sequence losses of equal length, in float64.

    Tokens of one sequence are not independent, so the standard error is over sequences.
    """
    losses = np.asarray(loss_KxB, np.float64).ravel()
    loss = float(losses.mean())
    stderr = float(losses.std(ddof=1) / math.sqrt(losses.size)) if losses.size > 1 else None
    return HeldOutLoss(loss, stderr, loss / math.log(2) / bytes_per_token)


def smoothed_loss(losses: list[float], share: float = 0.05, least: int = 10) -> float:
    """Mean of the last `share` of the training losses (at least `least` steps)."""
    window = max(least, round(share * len(losses)))
    return float(np.mean(losses[-window:]))
