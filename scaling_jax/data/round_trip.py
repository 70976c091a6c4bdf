"""What a tokenizer loses: sampled documents are encoded, decoded and compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.data.tokenizer import Tokenizer

# Bits per byte divide by the bytes of the text. Documents that come back changed may have another
# number of bytes than the tokens stand for, so at most this share of the bytes may lie in them.
_LARGEST_CHANGED_SHARE = 1e-3
_LARGEST_SAMPLE = 16 * 2**20  # bytes


@dataclass(frozen=True)
class RoundTrip:
    """Documents that were encoded and decoded again.

    Attributes:
        documents: number of documents.
        changed_documents: number of documents that came back changed.
        bytes_given: UTF-8 bytes of the documents.
        bytes_changed: UTF-8 bytes of the documents that came back changed.
        bytes_decoded: UTF-8 bytes of what came back.
    """

    documents: int
    changed_documents: int
    bytes_given: int
    bytes_changed: int
    bytes_decoded: int

    def after(
        self, document: str, ids: Sequence[int] | np.ndarray, tokenizer: Tokenizer
    ) -> "RoundTrip":
        """The counts with one more document and its token ids; unchanged after 16 MiB."""
        if self.bytes_given > _LARGEST_SAMPLE:
            return self
        back = tokenizer.decode([int(i) for i in ids])
        n_bytes, changed = len(document.encode()), back != document
        return RoundTrip(
            self.documents + 1,
            self.changed_documents + changed,
            self.bytes_given + n_bytes,
            self.bytes_changed + n_bytes * changed,
            self.bytes_decoded + len(back.encode("utf-8", "replace")),
        )

    def plus(self, other: "RoundTrip") -> "RoundTrip":
        """The counts with those of later documents; unchanged after 16 MiB."""
        if self.bytes_given > _LARGEST_SAMPLE:
            return self
        return RoundTrip(
            self.documents + other.documents,
            self.changed_documents + other.changed_documents,
            self.bytes_given + other.bytes_given,
            self.bytes_changed + other.bytes_changed,
            self.bytes_decoded + other.bytes_decoded,
        )

    @property
    def is_lossless(self) -> bool:
        """Whether the bytes of the text can stand for the bytes of its tokens."""
        return self.bytes_changed <= _LARGEST_CHANGED_SHARE * self.bytes_given

    def describe(self, tokenizer: str) -> str:
        """What a lossy tokenizer loses, with the numbers."""
        kept = self.bytes_decoded / max(1, self.bytes_given)
        return (
            f"tokenizer {tokenizer!r} is lossy: {self.changed_documents:,} of {self.documents:,} "
            f"documents come back changed, and {100 * kept:.3g} % of the bytes come back"
        )


NOTHING = RoundTrip(0, 0, 0, 0, 0)


def round_trip(documents: Iterable[str], tokenizer: Tokenizer) -> RoundTrip:
    """Encode and decode documents, and count what changed."""
    measured = NOTHING
    for document in documents:
        measured = measured.after(document, tokenizer.encode(document), tokenizer)
    return measured
