"""Corpora whose entropy is known exactly; here, Markov chains of any order over letters."""

from collections.abc import Iterator

import numpy as np

from scaling_jax.data import grammar, power_law
from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.errors import InputError

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_DOCUMENT_CHARACTERS = 2000
_MOST_CONTEXTS = 10_000
_STATIONARY = 1e-12  # the change of all shares together in one step


def load(argument: str) -> Corpus:
    """The corpus `synthetic:markov?states=8&order=1&characters=1000000&seed=0`, by default these.

    `synthetic:grammar` and `synthetic:zipf` are in modules of their own.

    Raises:
        InputError: another language, or a number out of range.
    """
    kind = argument.partition("?")[0]
    if kind == "grammar":
        return grammar.load(argument)
    if kind == "zipf":
        return power_law.load(argument)
    defaults = {"states": "8", "characters": "1000000", "seed": "0", "order": "1"}
    kind, options = split_options(argument, defaults)
    try:
        states, characters, seed, order = (int(value) for value in options.values())
    except ValueError as error:
        raise InputError(f"synthetic:{argument}: options must be whole numbers") from error
    if (
        kind != "markov"
        or not 2 <= states <= len(_ALPHABET)
        or min(characters, order) < 1
        or seed < 0
        or states**order > _MOST_CONTEXTS
    ):
        raise InputError(
            f"synthetic:{argument}: use synthetic:markov with states from 2 to {len(_ALPHABET)}, "
            "characters of at least 1, an order of at least 1 with at most "
            f"{_MOST_CONTEXTS:,} contexts (states to the power of the order) and a seed of at "
            "least 0; or synthetic:grammar, or synthetic:zipf"
        )
    key = f"markov-{states}-{characters}-{seed}" + (f"-order{order}" if order > 1 else "")
    return Corpus(
        f"synthetic:{argument}",
        key,
        lambda: documents(states, characters, seed, order),
        entropy=lambda seq_len: window_entropy(states, seed, order, seq_len),
    )


def transitions(states: int, seed: int, order: int = 1) -> np.ndarray:
    """Probabilities `P[i, j]` of letter j after context i, whose last letter is i mod `states`."""
    parts = [seed, states] if order == 1 else [seed, states, 0, order]
    return np.random.default_rng(parts).dirichlet(np.full(states, 0.5), size=states**order)


def entropy(states: int, seed: int, order: int = 1) -> float:
    """Entropy rate in nats per letter, the lowest loss any model can reach on the letters."""
    p = transitions(states, seed, order)
    row_entropy = -(p * np.log(p)).sum(axis=1)
    return float(_stationary(p) @ row_entropy)


def window_entropy(states: int, seed: int, order: int, seq_len: int) -> float:
    """The least mean loss, in nats per byte, of a model with a window of `seq_len` bytes.

    Documents are 2,000 letters and a newline. A letter costs its entropy given the letters of its
    document that the window shows before it. A newline comes 1 to 2,000 bytes after a letter that
    starts a window, each with the same probability.
    """
    n = _DOCUMENT_CHARACTERS
    given_C = _given(states, seed, order)
    letter_N = np.arange(n)  # letters before it in its document
    shown_TxN = np.minimum(np.arange(1, seq_len + 1)[:, None], np.minimum(letter_N, order))
    letters = given_C[shown_TxN].sum() / (n + 1)
    n_places = min(seq_len, n)
    newline = n_places / n * np.log(n)
    if n_places < n:
        newline -= (1 - n_places / n) * np.log1p(-n_places / n)
    return float((letters + newline * n / (n + 1)) / seq_len)


def documents(states: int, characters: int, seed: int, order: int = 1) -> Iterator[str]:
    """Samples of the stationary chain, 2,000 letters each; the last one may be shorter."""
    p = transitions(states, seed, order)
    rng = np.random.default_rng([seed, states, *([1] if order == 1 else [1, order])])
    cumulative, letters = p.cumsum(axis=1), np.array(list(_ALPHABET[:states]))
    n_documents = -(-characters // _DOCUMENT_CHARACTERS)
    chain = np.empty((n_documents, _DOCUMENT_CHARACTERS), np.int8)
    context = rng.choice(len(p), size=n_documents, p=_stationary(p))
    for t in range(order):
        chain[:, t] = context // states ** (order - 1 - t) % states
    for t in range(order, _DOCUMENT_CHARACTERS):
        draws = rng.random(n_documents)
        drawn = (draws[:, None] > cumulative[context]).sum(axis=1)
        chain[:, t] = np.minimum(drawn, states - 1)
        context = context * states % len(p) + chain[:, t]
    for i, row in enumerate(chain):
        yield "".join(letters[row[: characters - i * _DOCUMENT_CHARACTERS]])


def _given(states: int, seed: int, order: int) -> np.ndarray:
    """Entropy in nats of a letter given the last 0, 1, ..., `order` letters."""
    p = transitions(states, seed, order)
    joint = (_stationary(p)[:, None] * p).reshape((states,) * (order + 1))
    blocks = [0.0]
    for n_letters in range(1, order + 2):
        q = joint.sum(axis=tuple(range(n_letters, order + 1)))
        blocks.append(float(-(q[q > 0] * np.log(q[q > 0])).sum()))
    return np.diff(blocks)


def _stationary(p: np.ndarray) -> np.ndarray:
    """The share of each context in a long text."""
    n, states = p.shape
    if n == states:
        values, vectors = np.linalg.eig(p.T)
        vector = np.real(vectors[:, np.argmin(abs(values - 1))])
        return vector / vector.sum()
    share = np.full(n, 1 / n)
    while True:
        after = (share[:, None] * p).reshape(states, -1).sum(axis=0)
        after /= after.sum()
        if abs(after - share).sum() < _STATIONARY:
            return after
        share = after
