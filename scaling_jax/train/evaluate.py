"""Batches of held-out text."""

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
