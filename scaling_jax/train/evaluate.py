"""Batches of held-out text, and the held-out loss with its standard error and bits per byte."""

import math
from dataclasses import dataclass

import numpy as np

# Tokens that a device evaluates at once. The number does not depend on the run's training batch: a
# matrix product with another number of rows may add in another order, and then the same parameters
# would have a loss that differs in the last digits.
_TOKENS_PER_DEVICE = 8192


def evaluation_batch(n_windows: int, seq_len: int, n_shares: int) -> int:
    """Number of sequences to evaluate at once on devices that shard a batch into `n_shares`."""
    each = min(max(1, _TOKENS_PER_DEVICE // seq_len), -(-n_windows // n_shares))
    return each * n_shares


def padded_batches(tokens_NxT1: np.ndarray, batch_size: int) -> np.ndarray:
    """The windows as batches `tokens_KxBxT1`; copies of the last window fill the last batch."""
    extra = -len(tokens_NxT1) % batch_size
    padded_NxT1 = np.concatenate([tokens_NxT1, np.repeat(tokens_NxT1[-1:], extra, axis=0)])
    return padded_NxT1.reshape(-1, batch_size, tokens_NxT1.shape[1])


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
