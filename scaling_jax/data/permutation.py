"""A keyed permutation of any number of indices, computed per index without a table.

A Feistel network permutes the next even power of two. Images outside the range are permuted again
until they are inside it (cycle walking; Black & Rogaway 2002, "Ciphers with arbitrary finite
domains"). No table is stored, so shuffling a billion windows needs no more memory than ten.
"""

import numpy as np

_ROUNDS = 6
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def permute(indices: np.ndarray, size: int, key: tuple[int, int]) -> np.ndarray:
    """Images of `indices` under the permutation of `range(size)` that `key` selects."""
    half_bits = np.uint64(max(1, (int(size - 1).bit_length() + 1) // 2))
    round_keys = np.random.Philox(np.random.SeedSequence(key)).random_raw(_ROUNDS)
    images = _feistel(np.asarray(indices, np.uint64), half_bits, round_keys)
    # A cycle that starts inside the range returns to it, so the result is a bijection of the range.
    while (outside := images >= size).any():
        images[outside] = _feistel(images[outside], half_bits, round_keys)
    return images.astype(np.int64)


def _feistel(x: np.ndarray, half_bits: np.uint64, round_keys: np.ndarray) -> np.ndarray:
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = x >> half_bits, x & mask
    for key in round_keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half_bits) | right


def _mix(x: np.ndarray) -> np.ndarray:
    # The SplitMix64 finalizer: every input bit affects every output bit.
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))
