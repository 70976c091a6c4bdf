"""Corpora of sound: samples of a seeded synthesizer as 8-bit mu-law tokens."""

from collections.abc import Iterator

import numpy as np

from scaling_jax.data.corpus import Corpus, split_counts
from scaling_jax.errors import InputError

_MU = 255
_NOISE = 0.01  # standard deviation, as a share of the full scale
_SCALE = (0, 2, 4, 7, 9, 12, 14, 16)  # semitones above A3 of a pentatonic scale
_A3 = 220.0  # hertz
_NOTE_SECONDS = (0.0625, 0.125, 0.25)
_HARMONICS = 3


def load(argument: str) -> Corpus:
    """The corpus `sound:notes?seconds=600&rate=4000&seed=0`; a document is one second.

    Notes of a pentatonic scale, each a sum of three decaying sines with a little noise, sampled
    `rate` times per second. The 256 tokens are `mu_law` of the samples.

    Raises:
        InputError: another sound than `notes`, or an option out of range.
    """
    defaults = {"seconds": 600, "rate": 4000, "seed": 0}
    # The third harmonic of the highest note lies below half the least rate.
    kind, options = split_counts("sound", argument, defaults, {"rate": 4000})
    if kind != "notes":
        raise InputError(f"sound:{argument} is unknown: use sound:notes?seconds=600")
    seconds, rate, seed = options.values()
    return Corpus(
        f"sound:{argument}",
        f"notes-{seconds}-{rate}-{seed}",
        lambda: _documents(seconds, rate, seed),
        _MU + 1,
    )


def mu_law(sample_N: np.ndarray) -> np.ndarray:
    """Tokens from 0 to 255 of samples in [-1, 1] (ITU-T G.711's curve, with mu 255).

    >>> mu_law(np.array([-1.0, 0.0, 1.0])).tolist()
    [0, 128, 255]
    """
    bent_N = np.sign(sample_N) * np.log1p(_MU * np.abs(sample_N)) / np.log1p(_MU)
    return np.floor((np.clip(bent_N, -1, 1) + 1) / 2 * _MU + 0.5).astype(np.int64)


def _documents(seconds: int, rate: int, seed: int) -> Iterator[np.ndarray]:
    for second in range(seconds):
        rng = np.random.default_rng([seed, rate, second])
        sample_N = np.concatenate(list(_notes(rng, rate)))[:rate]
        yield mu_law(sample_N + rng.normal(0, _NOISE, size=rate))


def _notes(rng: np.random.Generator, rate: int) -> Iterator[np.ndarray]:
    """Notes of one second or more."""
    place, length = int(rng.integers(len(_SCALE))), 0
    while length < rate:
        seconds = _NOTE_SECONDS[rng.integers(len(_NOTE_SECONDS))]
        time_N = np.arange(round(seconds * rate)) / rate
        turn_N = 2 * np.pi * _A3 * 2 ** (_SCALE[place] / 12) * time_N
        tone_N = sum(np.sin((k + 1) * turn_N) / 2 ** (k + 1) for k in range(_HARMONICS))
        yield rng.uniform(0.3, 0.9) * np.exp(-6 * time_N) * tone_N
        place = int(np.clip(place + rng.integers(-2, 3), 0, len(_SCALE) - 1))
        length += len(time_N)
