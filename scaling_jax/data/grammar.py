"""A probabilistic context-free grammar whose entropy is known exactly.

The grammar is a random hierarchy (Cagnetta et al. 2024, arXiv 2307.02129) whose rules have random
probabilities. A sentence is a tree of one depth: each of `symbols` symbols has `rules` rules, each
of which writes it as `branches` symbols of the next level. No two symbols of a level share a
right-hand side, so a sentence has one tree, and its entropy is that of the rules of its tree.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaling_jax.data.corpus import Corpus, split_counts
from scaling_jax.errors import InputError

_DOCUMENT_TOKENS = 2048
_MOST_TOKENS = 4096  # of a sentence
_DOCUMENTS_AT_ONCE = 16


def load(argument: str) -> Corpus:
    """`synthetic:grammar?depth=4&symbols=16&rules=4&branches=2&tokens=1000000&seed=0`.

    Documents are whole sentences of `branches ** depth` tokens, one after another without
    separators. The entropy is known where `seq_len` is a multiple of the length of a sentence.

    Raises:
        InputError: an option out of range, or more rules than there are right-hand sides.
    """
    defaults = dict(depth=4, symbols=16, rules=4, branches=2, tokens=1_000_000, seed=0)
    least = {"symbols": 2, "branches": 2}
    _, options = split_counts("synthetic", argument, defaults, least)
    tokens = options.pop("tokens")
    if options["branches"] ** options["depth"] > _MOST_TOKENS:
        raise InputError(
            f"synthetic:{argument}: a sentence has branches to the power of depth tokens, which "
            f"must be at most {_MOST_TOKENS:,}"
        )
    sides = options["symbols"] ** options["branches"]
    if options["symbols"] * options["rules"] > min(sides, 2**20):
        raise InputError(
            f"synthetic:{argument}: symbols times rules must be at most {min(sides, 2**20):,}, so "
            "that no two rules of a level have the same right-hand side"
        )
    language = functools.cache(lambda: Grammar.random(**options))
    key = "-".join(map(str, options.values()))
    return Corpus(
        f"synthetic:{argument}",
        f"grammar-{key}-{tokens}",
        lambda: language().documents(tokens),
        options["symbols"],
        lambda seq_len: language().entropy if seq_len % language().sentence == 0 else None,
    )


@dataclass(frozen=True)
class Grammar:
    """The rules of a grammar.

    Attributes:
        sides: for each level, the right-hand sides `side_SxRxB` of its symbols.
        chances: for each level, the probabilities `chance_SxR` of the rules of each symbol.
        seed: of the samples.
    """

    sides: tuple[np.ndarray, ...]
    chances: tuple[np.ndarray, ...]
    seed: int

    @classmethod
    def random(cls, depth: int, symbols: int, rules: int, branches: int, seed: int) -> "Grammar":
        """A grammar with distinct right-hand sides, drawn for each level."""
        rng = np.random.default_rng([seed, depth, symbols, rules, branches])
        places = symbols ** np.arange(branches)
        sides, chances = [], []
        for _ in range(depth):
            chosen = _distinct(rng, symbols**branches, symbols * rules)
            sides.append((chosen[:, None] // places % symbols).reshape(symbols, rules, branches))
            chances.append(rng.dirichlet(np.ones(rules), size=symbols))
        return cls(tuple(sides), tuple(chances), seed)

    @property
    def sentence(self) -> int:
        """Number of tokens of a sentence."""
        return self.sides[0].shape[2] ** len(self.sides)

    @property
    def entropy(self) -> float:
        """Entropy in nats per token, with the sentence's earlier tokens and its start known."""
        n_symbols = len(self.chances[0])
        count_S = np.full(n_symbols, 1 / n_symbols)  # expected uses in a sentence
        nats = float(np.log(n_symbols))
        for side_SxRxB, chance_SxR in zip(self.sides, self.chances, strict=True):
            nats += float(count_S @ -(chance_SxR * np.log(chance_SxR)).sum(axis=1))
            uses_SxRxB = np.broadcast_to(
                (count_S[:, None] * chance_SxR)[..., None], side_SxRxB.shape
            )
            count_S = np.bincount(side_SxRxB.ravel(), uses_SxRxB.ravel(), n_symbols)
        return nats / self.sentence

    def documents(self, tokens: int) -> Iterator[np.ndarray]:
        """Documents of whole sentences, about 2,048 tokens each, until there are `tokens`."""
        per_document = max(1, _DOCUMENT_TOKENS // self.sentence)
        n = -(-tokens // (per_document * self.sentence))
        for first in range(0, n, _DOCUMENTS_AT_ONCE):
            rng = np.random.default_rng([self.seed, first, 1])
            count = min(_DOCUMENTS_AT_ONCE, n - first)
            yield from self.sentences(count * per_document, rng).reshape(count, -1)

    def sentences(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` sentences, a row for each."""
        symbol_NxL = rng.integers(len(self.chances[0]), size=(n, 1))
        for side_SxRxB, chance_SxR in zip(self.sides, self.chances, strict=True):
            cumulative = chance_SxR.cumsum(axis=1)[symbol_NxL]
            drawn = (rng.random(symbol_NxL.shape)[..., None] > cumulative).sum(axis=-1)
            rule_NxL = np.minimum(drawn, chance_SxR.shape[1] - 1)
            symbol_NxL = side_SxRxB[symbol_NxL, rule_NxL].reshape(n, -1)
        return symbol_NxL


def _distinct(rng: np.random.Generator, below: int, n: int) -> np.ndarray:
    """`n` different whole numbers below a limit, in random order."""
    if below <= 2**20:
        return rng.permutation(below)[:n]
    found = np.empty(0, np.int64)
    while len(found) < n:
        found = np.unique(np.append(found, rng.integers(below, size=2 * n)))
    return rng.permutation(found)[:n]
