"""A cache of tokenized corpora, split by document into two parts."""

import hashlib
import os
from pathlib import Path

from scaling_jax.config import EvalSet
from scaling_jax.data.local_cache import local_tokens
from scaling_jax.data.place import place
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.shared_cache import shared_tokens
from scaling_jax.data.split import HELD_OUT_FRACTION
from scaling_jax.data.token_cache import TokenCache as TokenCache
from scaling_jax.data.tokenizer import load_tokenizer
from scaling_jax.errors import InputError

_FORMAT = 1


def prepare(
    corpus: str,
    tokenizer: str,
    cache_dir: os.PathLike | str | None = None,
    *,
    held_out_fraction: float = HELD_OUT_FRACTION,
    progress: bool = True,
) -> TokenCache:
    """Tokens of `corpus`, tokenized at the first call and read from the cache at later ones.

    A hash of a document's text decides whether the document is held out, so equal documents are
    never on both sides of the split. A held-out fraction of 1 leaves no text for training.

    In a directory of this machine, tokens are memory-mapped. If several processes call this at
    once, one of them tokenizes and the others wait. The directory of a corpus is renamed into place
    when it is complete; one that a killed process left incomplete is deleted at the next call.

    In a bucket, each of the processes that train together tokenizes a share of the documents, and
    tokens are read in blocks when they are needed. What a killed process has finished is kept.

    Raises:
        InputError: an unknown corpus or tokenizer, text under the tokenizer of tokens or the
            reverse, no text on one side of the split, or a cache directory that cannot be written.
    """
    if not 0 < held_out_fraction <= 1:
        raise InputError(f"held_out_fraction {held_out_fraction} must lie in (0, 1]")
    where = place(cache_dir)
    source = load_corpus(corpus, cache_dir)
    coder = load_tokenizer(tokenizer).of(source)
    identity = f"{_FORMAT} {source.fingerprint} {coder.fingerprint} {held_out_fraction}"
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:24]
    directory = where.directory / fingerprint
    if where.is_shared:
        return shared_tokens(directory, source, coder, held_out_fraction, progress, where.memory)
    return local_tokens(Path(directory), source, coder, held_out_fraction, progress)


def prepare_set(
    each: EvalSet, tokenizer: str, cache_dir: os.PathLike[str] | str | None, progress: bool
) -> TokenCache:
    """The tokens of a further held-out set; its corpus is tokenized if necessary.

    Raises:
        InputError: a reason of `prepare`.
    """
    share = 1.0 if each.part == "all" else HELD_OUT_FRACTION
    return prepare(each.corpus, tokenizer, cache_dir, held_out_fraction=share, progress=progress)
