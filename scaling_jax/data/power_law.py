"""A language of many contexts with Zipf's frequencies, whose entropy is known exactly.

It follows the quantization model of Michaud et al. 2023 (arXiv 2303.13506): a model learns contexts
one by one, and the k-th most frequent has a probability proportional to `k ** -(1 + exponent)`. A
model that has learned the n most frequent contexts has a loss above the entropy that falls as
`n ** -exponent`.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaling_jax.data.corpus import Corpus, split_counts, split_options
from scaling_jax.errors import InputError

_DOCUMENT_TOKENS = 2048
_DOCUMENTS_AT_ONCE = 16
_MOST_CONTEXTS = 2**20
_CONCENTRATION = 0.1  # of the Dirichlet distribution of the answers


def load(argument: str) -> Corpus:
    """`synthetic:zipf?order=3&symbols=16&exponent=0.5&tokens=1000000&seed=0`.

    A context is a word of `order` tokens, each from an alphabet of its own, and the token after it
    is the answer: one of `symbols` answers, with probabilities that are the context's. There are
    `symbols ** order` contexts. Documents are whole words with their answers, without separators.
    The entropy is known where `seq_len` is a multiple of `order` + 1.

    Raises:
        InputError: an option out of range, or more than 2^20 contexts.
    """
    name, options = split_options(
        argument, {"exponent": "0.5"} | dict.fromkeys(("order", "symbols", "tokens", "seed"), "")
    )
    try:
        exponent = float(options.pop("exponent"))
    except ValueError:
        exponent = np.nan
    if not 0 < exponent <= 10:
        raise InputError(f"synthetic:{argument}: exponent must be a number above 0, at most 10")
    given = "&".join(f"{key}={value}" for key, value in options.items() if value)
    defaults = {"order": 3, "symbols": 16, "tokens": 1_000_000, "seed": 0}
    _, counts = split_counts("synthetic", f"{name}?{given}", defaults, {"symbols": 2})
    tokens = counts.pop("tokens")
    if counts["order"] > 20 or counts["symbols"] ** counts["order"] > _MOST_CONTEXTS:
        raise InputError(
            f"synthetic:{argument}: symbols to the power of order, the number of contexts, must be "
            f"at most {_MOST_CONTEXTS:,}"
        )
    language = functools.cache(lambda: Contexts.random(exponent=exponent, **counts))
    key = "-".join(map(str, counts.values()))
    return Corpus(
        f"synthetic:{argument}",
        f"zipf-{key}-{exponent!r}-{tokens}",
        lambda: language().documents(tokens),
        (counts["order"] + 1) * counts["symbols"],
        lambda seq_len: None if seq_len % (counts["order"] + 1) else language().entropy,
    )


@dataclass(frozen=True)
class Contexts:
    """The contexts, the most frequent first.

    Attributes:
        word_KxO: the tokens of each context.
        chance_K: the probability of each context.
        answer_KxS: the probability of each answer after each context.
        seed: of the samples.
    """

    word_KxO: np.ndarray
    chance_K: np.ndarray
    answer_KxS: np.ndarray
    seed: int

    @classmethod
    def random(cls, order: int, symbols: int, seed: int, exponent: float) -> "Contexts":
        """Contexts in random order of frequency, with answers from a Dirichlet distribution."""
        rng = np.random.default_rng([seed, order, symbols])
        n = symbols**order
        word_K = rng.permutation(n)
        places = np.arange(order)
        word_KxO = word_K[:, None] // symbols**places % symbols + symbols * places
        chance_K = np.arange(1, n + 1) ** -(1 + exponent)
        answer_KxS = rng.dirichlet(np.full(symbols, _CONCENTRATION), size=n)
        return cls(word_KxO, chance_K / chance_K.sum(), answer_KxS, seed)

    @property
    def entropy(self) -> float:
        """Entropy in nats per token, of words and answers together."""
        words = -(self.chance_K @ np.log(self.chance_K))
        return float(words + self._answers_K() @ self.chance_K) / (self.word_KxO.shape[1] + 1)

    def _answers_K(self) -> np.ndarray:
        """Entropy in nats of the answers of each context."""
        p = self.answer_KxS
        return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)

    def documents(self, tokens: int) -> Iterator[np.ndarray]:
        """Documents of whole words and answers, about 2,048 tokens, until there are `tokens`."""
        order, symbols = self.word_KxO.shape[1], self.answer_KxS.shape[1]
        per_document = max(1, _DOCUMENT_TOKENS // (order + 1))
        n = -(-tokens // (per_document * (order + 1)))
        until_K = self.chance_K.cumsum()
        until_KxS = self.answer_KxS.cumsum(axis=1)
        for first in range(0, n, _DOCUMENTS_AT_ONCE):
            rng = np.random.default_rng([self.seed, first, 2])
            count = min(_DOCUMENTS_AT_ONCE, n - first)
            draws_N = rng.random(count * per_document)
            context_N = np.minimum(np.searchsorted(until_K, draws_N), len(until_K) - 1)
            drawn_N = (rng.random(len(draws_N))[:, None] > until_KxS[context_N]).sum(axis=1)
            answer_N = np.minimum(drawn_N, symbols - 1) + order * symbols
            words = np.concatenate([self.word_KxO[context_N], answer_N[:, None]], axis=1)
            yield from words.reshape(count, -1)
