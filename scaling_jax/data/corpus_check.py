"""What a corpus holds: documents, tokens, and text that is there twice."""

import hashlib
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field

from scaling_jax.data.registry import load_corpus
from scaling_jax.data.split import documents_of, is_held_out
from scaling_jax.data.tokenizer import load_tokenizer
from scaling_jax.errors import InputError
from scaling_jax.formatting import count


@dataclass(frozen=True)
class Part:
    """One side of the split: its documents, their UTF-8 bytes, their tokens with separators."""

    documents: int
    bytes: int
    tokens: int


@dataclass(frozen=True)
class CorpusCheck:
    """What a corpus holds.

    Attributes:
        corpus, tokenizer: their names.
        train, held_out: the two sides of the split.
        median_bytes, largest_bytes: of a document.
        duplicates: documents whose text an earlier document has, byte for byte.
        shared: held-out documents whose text a training document has, if case, spaces and
            punctuation are ignored. Documents that are equal byte for byte are never on both sides.
        replaced: characters that could not be decoded.
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

    def __str__(self) -> str:
        documents = self.train.documents + self.held_out.documents
        lines = [
            f"{self.corpus}: {documents:,} documents, "
            f"{count(self.train.bytes + self.held_out.bytes)} bytes "
            f"(median {self.median_bytes:,}, largest {self.largest_bytes:,})",
            *([_DOCUMENTS_OF_TEXT] if self.corpus.startswith("text:") else []),
            *(
                f"{side}: {part.documents:,} documents, {count(part.bytes)} bytes, {part.tokens:,} "
                f"tokens of {self.tokenizer}"
                for side, part in (("training", self.train), ("held out", self.held_out))
            ),
            f"duplicates: {self.duplicates:,} documents repeat an earlier one",
            f"shared: {self.shared:,} held-out documents are in the training text too, if case, "
            "spaces and punctuation are ignored",
        ]
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


def check_corpus(corpus: str, tokenizer: str = "bytes") -> CorpusCheck:
    """Count the documents, bytes and tokens of `corpus`, and what is there twice.

    Raises:
        InputError: a corpus or a tokenizer that cannot be read, or a corpus without documents.
    """
    source, coder = load_corpus(corpus), load_tokenizer(tokenizer)
    train, held_out = _Tally(), _Tally()
    exact, replaced = set[bytes](), 0
    for document in documents_of(source):
        text = document.encode()
        side = held_out if is_held_out(text) else train
        side.sizes.append(len(text))
        side.tokens += len(coder.encode(document)) + 1
        side.loosely[_digest(_WORD_GAPS.sub(" ", document.casefold()).strip().encode())] += 1
        exact.add(_digest(text))
        replaced += document.count("\ufffd")
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
    )


_WORD_GAPS = re.compile(r"[\W_]+")


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
