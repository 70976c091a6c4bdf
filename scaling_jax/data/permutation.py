"""A keyed permutation of any number of indices, evaluated where it is needed.

A Feistel network over the next even power of two, walked until it lands inside the range
(Black & Rogaway 2002, "Ciphers with arbitrary finite domains"): no table is stored, so a
billion windows are shuffled as easily as ten.
"""

import numpy as np

_ROUNDS = 6
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def permute(indices: np.ndarray, size: int, key: tuple[int, int]) -> np.ndarray:
    """Images of `indices` under the permutation of `range(size)` that `key` names."""
    half_bits = np.uint64(max(1, (int(size - 1).bit_length() + 1) // 2))
    round_keys = np.random.Philox(np.random.SeedSequence(key)).random_raw(_ROUNDS)
    images = _feistel(np.asarray(indices, np.uint64), half_bits, round_keys)
    # Walking the cycle from inside the range leads back into it: a bijection of the range.
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
    """Spread every bit over the word (the SplitMix64 finalizer)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))
