"""What a corpus holds: documents, tokens, text that is there twice, and a known entropy."""

import hashlib
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field

from scaling_jax.data.corpus import Document, content_of
from scaling_jax.data.entropy import entropy
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.split import documents_of, is_held_out
from scaling_jax.data.tokenizer import TOKENS, Tokenizer, load_tokenizer
from scaling_jax.errors import InputError
from scaling_jax.formatting import count


@dataclass(frozen=True)
class Part:
    """One side of the split: its documents, their tokens with separators, their UTF-8 bytes.

    Documents that are tokens have no bytes.
    """

    documents: int
    bytes: int
    tokens: int


@dataclass(frozen=True)
class CorpusCheck:
    """What a corpus holds.

    Attributes:
        corpus, tokenizer: their names.
        train, held_out: the two sides of the split.
        median_bytes, largest_bytes: of a document; 0 where documents are tokens.
        duplicates: documents whose text an earlier document has, byte for byte.
        shared: held-out documents whose text a training document has, if case, spaces and
            punctuation are ignored. Documents that are equal byte for byte are never on both sides.
        replaced: characters that could not be decoded.
        seq_len: the window that `entropy` is for.
        entropy: the known entropy in nats per token, as `data.entropy` defines it; or None.
    """

    corpus: str
    tokenizer: str
    train: Part
    held_out: Part
    median_bytes: int
    largest_bytes: int
    duplicates: int
    shared: int
    replaced: int
    seq_len: int
    entropy: float | None

    def __str__(self) -> str:
        documents = self.train.documents + self.held_out.documents
        n_bytes = self.train.bytes + self.held_out.bytes
        sizes = (
            f", {count(n_bytes)} bytes "
            f"(median {self.median_bytes:,}, largest {self.largest_bytes:,})"
        )
        lines = [
            f"{self.corpus}: {documents:,} documents" + (sizes if n_bytes else ""),
            *([_DOCUMENTS_OF_TEXT] if self.corpus.startswith("text:") else []),
            *(
                f"{side}: {part.documents:,} documents, "
                + (f"{count(part.bytes)} bytes, " if n_bytes else "")
                + f"{part.tokens:,} tokens"
                + (f" of {self.tokenizer}" if n_bytes else "")
                for side, part in (("training", self.train), ("held out", self.held_out))
            ),
            f"duplicates: {self.duplicates:,} documents repeat an earlier one",
            f"shared: {self.shared:,} held-out documents are in the training text too, if case, "
            "spaces and punctuation are ignored"
            if n_bytes
            else f"shared: {self.shared:,} held-out documents are in the training text too",
        ]
        if self.entropy is not None:
            lines.append(
                f"entropy: {self.entropy:.4f} nats per token, the lowest loss of a model that sees "
                f"windows of {self.seq_len:,} tokens"
            )
        if self.replaced:
            lines.append(
                f"warning: {self.replaced:,} characters could not be decoded; convert the files "
                "to UTF-8 to keep them"
            )
        if not self.train.documents or not self.held_out.documents:
            lines.append(
                "warning: one side of the split is empty, so that no run can be trained: separate "
                "the documents by blank lines, or give more of them"
            )
        return "\n".join(lines)


_DOCUMENTS_OF_TEXT = "a document ends at a blank line or at the end of its file"


def check_corpus(corpus: str, tokenizer: str | None = None, seq_len: int = 128) -> CorpusCheck:
    """Count the documents, bytes and tokens of `corpus`, and what is there twice.

    Args:
        corpus: as `load_corpus` takes it.
        tokenizer: as `load_tokenizer` takes it; by default `bytes`, or `tokens` for a corpus of
            tokens.
        seq_len: the window of the models whose lowest loss is reported, where it is known.

    Raises:
        InputError: a corpus or a tokenizer that cannot be read, or a corpus without documents.
    """
    source = load_corpus(corpus)
    usual = "bytes" if source.vocab_size is None else TOKENS
    coder = load_tokenizer(tokenizer or usual).of(source)
    train, held_out = _Tally(), _Tally()
    exact, replaced = set[bytes](), 0
    for document in documents_of(source):
        content = content_of(document)
        side = held_out if is_held_out(content) else train
        side.sizes.append(len(content) if isinstance(document, str) else 0)
        side.tokens += _n_tokens(document, coder)
        side.loosely[_digest(_loose(document))] += 1
        exact.add(_digest(content))
        replaced += document.count("\ufffd") if isinstance(document, str) else 0
    sizes = train.sizes + held_out.sizes
    if not sizes:
        raise InputError(f"corpus {corpus!r} has no documents: give one with text")
    return CorpusCheck(
        corpus=source.name,
        tokenizer=coder.name,
        train=train.part(),
        held_out=held_out.part(),
        median_bytes=round(statistics.median(sizes)),
        largest_bytes=max(sizes),
        duplicates=len(sizes) - len(exact),
        shared=sum(n for text, n in held_out.loosely.items() if text in train.loosely),
        replaced=replaced,
        seq_len=seq_len,
        entropy=entropy(corpus, coder.name, seq_len),
    )


_WORD_GAPS = re.compile(r"[\W_]+")


def _n_tokens(document: Document, coder: Tokenizer) -> int:
    return len(coder.encode(document)) + 1 if isinstance(document, str) else len(document)


def _loose(document: Document) -> bytes:
    """What documents are compared by, without case, spaces and punctuation of text."""
    if not isinstance(document, str):
        return content_of(document)
    return _WORD_GAPS.sub(" ", document.casefold()).strip().encode()


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()


@dataclass
class _Tally:
    """Counts of one side of the split while documents are read."""

    sizes: list[int] = field(default_factory=list)
    tokens: int = 0
    loosely: Counter[bytes] = field(default_factory=Counter)

    def part(self) -> Part:
        return Part(len(self.sizes), sum(self.sizes), self.tokens)
