"""Held-out text in batches, its loss with a standard error, and bits per byte."""

import math
from dataclasses import dataclass

import numpy as np

# Tokens that a device evaluates at a time. The number is the same for every run, whatever its
# training batch: a product of another number of rows may sum in another order, and then the same
# parameters would have another loss in the last digits.
_TOKENS_PER_DEVICE = 8192


def evaluation_batch(n_windows: int, seq_len: int, n_shares: int) -> int:
    """Sequences evaluated at a time on devices that share them out among `n_shares`."""
    each = min(max(1, _TOKENS_PER_DEVICE // seq_len), -(-n_windows // n_shares))
    return each * n_shares


def padded_batches(tokens_NxT1: np.ndarray, batch_size: int) -> np.ndarray:
    """The windows as `tokens_KxBxT1`; copies of the last window fill the last batch."""
    extra = -len(tokens_NxT1) % batch_size
    padded_NxT1 = np.concatenate([tokens_NxT1, np.repeat(tokens_NxT1[-1:], extra, axis=0)])
    return padded_NxT1.reshape(-1, batch_size, tokens_NxT1.shape[1])


@dataclass(frozen=True)
class HeldOutLoss:
    """Mean held-out loss (nats/token), its standard error over sequences, and bits per byte.

    A single sequence has no standard error.
    """

    loss: float
    stderr: float | None
    bits_per_byte: float


def held_out_loss(loss_N: np.ndarray, bytes_per_token: float) -> HeldOutLoss:
    """Average per-sequence losses of equal length, in float64.

    Tokens of one sequence are not independent, so the standard error is over sequences.
    """
    losses = np.asarray(loss_N, np.float64)
    loss = float(losses.mean())
    stderr = float(losses.std(ddof=1) / math.sqrt(losses.size)) if losses.size > 1 else None
    return HeldOutLoss(loss, stderr, loss / math.log(2) / bytes_per_token)


def smoothed_loss(losses: list[float], share: float = 0.05, least: int = 10) -> float:
    """Mean of the last `share` of the training losses (at least `least` steps)."""
    window = max(least, round(share * len(losses)))
    return float(np.mean(losses[-window:]))
