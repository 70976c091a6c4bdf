"""Corpora whose entropy is known exactly: samples of a stationary Markov chain over letters."""

from collections.abc import Iterator

import numpy as np

from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.errors import InputError

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_DOCUMENT_CHARACTERS = 2000


def load(argument: str) -> Corpus:
    """The corpus `synthetic:markov?states=8&characters=1000000&seed=0`, with these defaults.

    Raises:
        InputError: another chain than `markov`, or a number out of range.
    """
    kind, options = split_options(argument, {"states": "8", "characters": "1000000", "seed": "0"})
    try:
        states, characters, seed = (int(value) for value in options.values())
    except ValueError as error:
        raise InputError(f"synthetic:{argument}: options must be whole numbers") from error
    if kind != "markov" or not 2 <= states <= len(_ALPHABET) or characters < 1 or seed < 0:
        raise InputError(
            f"synthetic:{argument}: use synthetic:markov with states from 2 to {len(_ALPHABET)}, "
            "characters of at least 1 and a seed of at least 0"
        )
    key = f"markov-{states}-{characters}-{seed}"
    return Corpus(f"synthetic:{argument}", key, lambda: documents(states, characters, seed))


def transitions(states: int, seed: int) -> np.ndarray:
    """Transition probabilities `P[i, j]` from letter i to letter j of the chain."""
    return np.random.default_rng([seed, states]).dirichlet(np.full(states, 0.5), size=states)


def entropy(states: int, seed: int) -> float:
    """Entropy rate in nats per letter, the lowest loss any model can reach on the chain."""
    p = transitions(states, seed)
    row_entropy = -(p * np.log(p)).sum(axis=1)
    return float(_stationary(p) @ row_entropy)


def documents(states: int, characters: int, seed: int) -> Iterator[str]:
    """Samples of the stationary chain, 2,000 letters each; the last one may be shorter."""
    p = transitions(states, seed)
    rng = np.random.default_rng([seed, states, 1])
    cumulative, letters = p.cumsum(axis=1), np.array(list(_ALPHABET[:states]))
    n_documents = -(-characters // _DOCUMENT_CHARACTERS)
    chain = np.empty((n_documents, _DOCUMENT_CHARACTERS), np.int8)
    chain[:, 0] = rng.choice(states, size=n_documents, p=_stationary(p))
    for t in range(1, _DOCUMENT_CHARACTERS):
        draws = rng.random(n_documents)
        drawn = (draws[:, None] > cumulative[chain[:, t - 1]]).sum(axis=1)
        chain[:, t] = np.minimum(drawn, states - 1)
    for i, row in enumerate(chain):
        yield "".join(letters[row[: characters - i * _DOCUMENT_CHARACTERS]])


def _stationary(p: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eig(p.T)
    vector = np.real(vectors[:, np.argmin(abs(values - 1))])
    return vector / vector.sum()
