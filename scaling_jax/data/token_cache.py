"""What a cache holds of one corpus under one tokenizer: the tokens of both sides of the split."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.data.round_trip import RoundTrip
from scaling_jax.data.streamed import StreamedTokens
from scaling_jax.data.tokenizer import TOKENS
from scaling_jax.errors import InputError


@dataclass(frozen=True)
class TokenCache:
    """Tokens of one corpus under one tokenizer, for training and held out.

    Attributes:
        train: training tokens, uint16 or uint32: a memory-mapped 1-D array, or in a bucket.
        held_out: held-out tokens, from other documents.
        vocab_size: the tokenizer's number of token ids.
        held_out_bytes: UTF-8 bytes of the held-out text, separators included; 0 where the
            documents are tokens.
        fingerprint: a hash of the corpus, the tokenizer and the split.
        round_trip: what the tokenizer changes in the held-out documents.
    """

    train: np.ndarray | StreamedTokens
    held_out: np.ndarray | StreamedTokens
    vocab_size: int
    held_out_bytes: int
    fingerprint: str
    round_trip: RoundTrip

    @property
    def n_bytes(self) -> int:
        """Bytes of the tokens of both sides, where they are kept."""
        return sum(len(side) * side.dtype.itemsize for side in (self.train, self.held_out))

    @property
    def bytes_per_token(self) -> float | None:
        """UTF-8 bytes per token of the held-out text; None without text or if it is changed."""
        if not (self.held_out_bytes and self.round_trip.is_lossless):
            return None
        return self.held_out_bytes / len(self.held_out)

    def check_vocabulary(self, tokenizer: str, vocab_size: int) -> None:
        """Check that a model with `vocab_size` token ids has every id of the tokenizer.

        Raises:
            InputError: it has fewer.
        """
        if self.vocab_size > vocab_size and tokenizer == TOKENS:
            raise InputError(
                f"the corpus has token ids up to {self.vocab_size - 1}, but the shape's vocab_size "
                f"is {vocab_size}: raise vocab_size to at least {self.vocab_size}"
            )
        if self.vocab_size > vocab_size:
            raise InputError(
                f"tokenizer {tokenizer!r} has {self.vocab_size} ids, but the shape's vocab_size is "
                f"{vocab_size}: raise vocab_size to at least {self.vocab_size}"
            )

    def check_lossless(self, tokenizer: str, lossy_tokenizer: bool) -> None:
        """Check that the tokenizer gives back the held-out text, unless it may change the text.

        Raises:
            InputError: it does not.
        """
        if not lossy_tokenizer and not self.round_trip.is_lossless:
            raise InputError(
                f"{self.round_trip.describe(tokenizer)}: train one with `scaling-jax tokenizer "
                "train`, or set DataConfig(lossy_tokenizer=True), which leaves out bits per byte"
            )
