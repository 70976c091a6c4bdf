"""Documents as tokens on one side of the split, and counts of what was encoded."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from scaling_jax.data.corpus import Document, content_of
from scaling_jax.data.round_trip import NOTHING, RoundTrip
from scaling_jax.data.split import is_held_out
from scaling_jax.data.tokenizer import Tokenizer

Side = Literal["train", "held_out"]
_REPLACEMENT = "\ufffd"


@dataclass
class Encoder:
    """Encodes documents one after another.

    Attributes:
        coder: the tokenizer.
        held_out_fraction: share of the documents that are held out.
        tokens: number of tokens so far on each side.
        held_out_bytes: UTF-8 bytes of the held-out text, separators included.
        replaced: characters that could not be decoded.
        round_trip: what the tokenizer changes in the held-out documents.
    """

    coder: Tokenizer
    held_out_fraction: float
    tokens: dict[Side, int] = field(default_factory=lambda: {"train": 0, "held_out": 0})
    held_out_bytes: int = 0
    replaced: int = 0
    round_trip: RoundTrip = NOTHING

    @property
    def dtype(self) -> np.dtype:
        """The smaller of uint16 and uint32 that holds every id."""
        return np.dtype(np.uint16 if self.coder.vocab_size <= 2**16 else np.uint32)

    def __call__(self, document: Document) -> tuple[Side, np.ndarray, int]:
        """The side of a document, its tokens with the separator, and the bytes of its content."""
        content = content_of(document)
        side: Side = "held_out" if is_held_out(content, self.held_out_fraction) else "train"
        if isinstance(document, str):
            self.replaced += document.count(_REPLACEMENT)
            encoded = self.coder.encode(document)
            if side == "held_out":
                self.round_trip = self.round_trip.after(document, encoded, self.coder)
                self.held_out_bytes += len(content) + 1
            ids = np.append(
                np.asarray(encoded, self.dtype), np.array([self.coder.separator], self.dtype)
            )
        else:
            ids = np.asarray(document, self.dtype)
        self.tokens[side] += len(ids)
        return side, ids, len(content)
