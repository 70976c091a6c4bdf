"""Corpora of symbolic music: tunes in ABC notation, written by a seeded program."""

from collections.abc import Iterator

import numpy as np

from scaling_jax.data.corpus import Corpus, split_counts
from scaling_jax.errors import InputError

_KEYS = ("C", "G", "D", "A", "F")
_PITCHES = ("G,", "A,", "B,", "C", "D", "E", "F", "G", "A", "B", "c", "d", "e", "f", "g", "a")
_TONIC = {"C": 3, "D": 4, "F": 6, "G": 7, "A": 8}  # place of each key's tonic in `_PITCHES`
# Eighths of the notes of a bar, by metre.
_RHYTHMS = {
    "4/4": ((2, 2, 2, 2), (1, 1, 2, 2, 2), (3, 1, 2, 2), (4, 2, 2), (2, 1, 1, 2, 2), (4, 4)),
    "3/4": ((2, 2, 2), (1, 1, 2, 2), (3, 1, 2), (4, 2), (2, 4), (2, 1, 1, 2)),
    "6/8": ((1, 1, 1, 1, 1, 1), (2, 1, 2, 1), (3, 3), (1, 1, 1, 3), (3, 2, 1), (2, 1, 3)),
}
_STEPS = (-2, -1, -1, 0, 1, 1, 2)  # along the scale, from note to note
_BARS = 4
_FORM = "AABA"  # phrases of a tune


def load(argument: str) -> Corpus:
    """The corpus `music:tunes?tunes=10000&seed=0`; a document is a tune of 16 bars.

    A tune has a key, a metre and two phrases, in the order AABA. Its melody walks along the scale,
    and its phrases end on the tonic. It is text, for the tokenizers of text.

    Raises:
        InputError: other music than `tunes`, or an option out of range.
    """
    kind, options = split_counts("music", argument, {"tunes": 10_000, "seed": 0})
    if kind != "tunes":
        raise InputError(f"music:{argument} is unknown: use music:tunes?tunes=10000")
    tunes, seed = options.values()
    return Corpus(
        f"music:{argument}",
        f"tunes-{tunes}-{seed}",
        lambda: (tune(seed, i) for i in range(tunes)),
    )


def tune(seed: int, index: int) -> str:
    """The tune of a seed with this index, in ABC notation."""
    rng = np.random.default_rng([seed, index])
    metre = list(_RHYTHMS)[rng.integers(len(_RHYTHMS))]
    key = _KEYS[rng.integers(len(_KEYS))]
    # A few rhythms to a tune, as tunes repeat theirs.
    rhythms = [_RHYTHMS[metre][i] for i in rng.choice(len(_RHYTHMS[metre]), 3, replace=False)]
    phrases = {name: " | ".join(_phrase(rng, key, rhythms)) for name in "AB"}
    body = " |\n".join(phrases[name] for name in _FORM)
    return f"X:1\nM:{metre}\nL:1/8\nK:{key}\n{body} |]"


def _phrase(rng: np.random.Generator, key: str, rhythms: list[tuple[int, ...]]) -> Iterator[str]:
    place = _TONIC[key] + 2 * int(rng.integers(3))
    for bar in range(_BARS):
        lengths = rhythms[rng.integers(len(rhythms))]
        notes = []
        for i, length in enumerate(lengths):
            is_last = bar == _BARS - 1 and i == len(lengths) - 1
            step = _STEPS[rng.integers(len(_STEPS))]
            place = _TONIC[key] if is_last else int(np.clip(place + step, 0, len(_PITCHES) - 1))
            notes.append(_PITCHES[place] + (str(length) if length > 1 else ""))
        yield "".join(notes)
