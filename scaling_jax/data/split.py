"""Which documents of a corpus are held out, and which of them another corpus trains on."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress

from scaling_jax.data.corpus import Corpus, Document, content_of
from scaling_jax.data.place import place
from scaling_jax.data.registry import load_corpus
from scaling_jax.errors import InputError
from scaling_jax.system.files import read_text, write_text_atomically

HELD_OUT_FRACTION = 0.05


def valid(document: Document) -> Document:
    """A document: tokens as they are, text as valid Unicode.

    JSON can hold half of a surrogate pair, which no encoding takes; the replacement character
    takes its place, as it does for bytes that are not UTF-8.
    """
    if isinstance(document, str):
        return document.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return document


def documents_of(corpus: Corpus) -> Iterator[Document]:
    """The documents, each as `valid` gives it."""
    return map(valid, corpus.documents())


def texts_of(corpus: Corpus) -> Iterator[str]:
    """The documents of a corpus of text, as valid Unicode.

    Raises:
        InputError: the documents are tokens.
    """
    if corpus.vocab_size is not None:
        raise InputError(f"corpus {corpus.name!r} is tokens, not text: name a text")
    return (document for document in documents_of(corpus) if isinstance(document, str))


def is_held_out(content: bytes, fraction: float = HELD_OUT_FRACTION) -> bool:
    """Whether a document is held out, which follows from its `content_of` alone."""
    unit_hash = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64
    return unit_hash < fraction


def shared_documents(
    training: str, evaluated: str, cache_dir: os.PathLike | str | None = None
) -> int:
    """Number of documents of the corpus `evaluated` that are training text of the other corpus.

    Documents are equal if their text is. The number is stored beside the token caches.

    Raises:
        InputError: an unknown corpus.
    """
    ours, theirs = load_corpus(evaluated, cache_dir), load_corpus(training, cache_dir)
    identity = f"{ours.fingerprint} {theirs.fingerprint} {HELD_OUT_FRACTION}"
    name = f"shared-{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
    path = place(cache_dir).directory / name
    with suppress(OSError, ValueError):
        return int(read_text(path))
    known = {hashlib.sha256(content_of(each)).digest() for each in documents_of(ours)}
    trained = (content_of(each) for each in documents_of(theirs))
    shared = {
        digest
        for text in trained
        if (digest := hashlib.sha256(text).digest()) in known and not is_held_out(text)
    }
    # A cache that belongs to somebody else may be read-only; the next call then counts again.
    with suppress(OSError):
        write_text_atomically(path, str(len(shared)))
    return len(shared)
