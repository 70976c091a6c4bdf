"""Mixtures of corpora, each with a share of the text."""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping

from scaling_jax.data.corpus import Corpus, Document
from scaling_jax.errors import InputError

_EXAMPLE = "write it as in mixture:embedded*0.7,stdlib*0.3"


def load(argument: str, cache_dir: os.PathLike | str | None = None) -> Corpus:
    """The corpus `mixture:CORPUS*WEIGHT,CORPUS*WEIGHT,...`, until one corpus has no more documents.

    The weights are shares of the UTF-8 bytes, or of the tokens of corpora of tokens, in any unit;
    they hold from the first document on, to within a document.

    Raises:
        InputError: fewer than two corpora, one that is given twice or is a mixture, a weight that
            is not positive, an unknown corpus, or text mixed with tokens.
    """
    # Imported here, since the table of corpora has this function.
    from scaling_jax.data.registry import load_corpus

    weights = _weights(argument)
    corpora = {name: load_corpus(name, cache_dir) for name in weights}
    total = math.fsum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    identity = " ".join(f"{corpora[name].fingerprint}*{share!r}" for name, share in shares.items())
    key = hashlib.sha256(f"mixture {identity}".encode()).hexdigest()
    vocab_size = _vocab_size(argument, corpora)
    return Corpus(f"mixture:{argument}", key, lambda: _documents(corpora, shares), vocab_size)


def _vocab_size(argument: str, corpora: Mapping[str, Corpus]) -> int | None:
    sizes = {name: corpus.vocab_size for name, corpus in corpora.items()}
    of_tokens = [size for size in sizes.values() if size is not None]
    if of_tokens and len(of_tokens) < len(sizes):
        texts = ", ".join(name for name, size in sizes.items() if size is None)
        raise InputError(
            f"mixture:{argument}: {texts} is text and the rest is tokens, which no tokenizer reads "
            "together: mix text with text, or tokens with tokens"
        )
    return max(of_tokens, default=None)


def _weights(argument: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in argument.split(","):
        name, star, text = part.strip().rpartition("*")
        try:
            weight = float(text)
        except ValueError:
            weight = math.nan
        if not star or not name or not 0 < weight < math.inf:
            raise InputError(
                f"mixture:{argument}: {part.strip()!r} has no positive weight; {_EXAMPLE}"
            )
        if name in weights:
            raise InputError(f"mixture:{argument}: {name!r} is given twice; add its weights up")
        if name.startswith("mixture:"):
            raise InputError(f"mixture:{argument}: {name!r} is a mixture; name its corpora instead")
        weights[name] = weight
    if len(weights) < 2:
        raise InputError(f"mixture:{argument}: has one corpus; {_EXAMPLE}")
    return weights


def _documents(corpora: Mapping[str, Corpus], shares: Mapping[str, float]) -> Iterator[Document]:
    """The documents of all corpora, each time one of the corpus that is furthest behind."""
    sources = {name: corpus.documents() for name, corpus in corpora.items()}
    written = dict.fromkeys(corpora, 0)
    while True:
        name = min(written, key=lambda name: written[name] / shares[name])
        document = next(sources[name], None)
        if document is None:
            return
        written[name] += _length(document)
        yield document


def _length(document: Document) -> int:
    """UTF-8 bytes with the separator, or tokens."""
    if isinstance(document, str):
        return len(document.encode("utf-8", "surrogatepass")) + 1
    return len(document)
