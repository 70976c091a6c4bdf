"""What a tokenizer makes of a corpus: its tokens, and what decoding gives back."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from scaling_jax.data.registry import load_corpus
from scaling_jax.data.round_trip import NOTHING, RoundTrip
from scaling_jax.data.split import texts_of
from scaling_jax.data.tokenizer import load_tokenizer
from scaling_jax.errors import InputError
from scaling_jax.formatting import count


@dataclass(frozen=True)
class TokenizerCheck:
    """What a tokenizer makes of the first 16 MiB of a corpus.

    Attributes:
        tokenizer, corpus: their names.
        vocab_size: number of token ids.
        used: number of token ids that the text has.
        tokens: number of tokens, an end of text after each document included.
        unknown: number of tokens that stand for what the vocabulary lacks.
        round_trip: documents and bytes, and those that come back changed.
    """

    tokenizer: str
    corpus: str
    vocab_size: int
    used: int
    tokens: int
    unknown: int
    round_trip: RoundTrip

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes per token, a byte and a token for the end of each document included."""
        return (self.round_trip.bytes_given + self.round_trip.documents) / self.tokens

    @property
    def is_lossless(self) -> bool:
        """Whether a study can use the tokenizer without `lossy_tokenizer`."""
        return self.round_trip.is_lossless

    def as_data(self) -> dict[str, object]:
        """Every field, and what follows from the fields, as JSON has them."""
        derived = {"bytes_per_token": self.bytes_per_token, "lossless": self.is_lossless}
        return {**dataclasses.asdict(self), **derived}

    def __str__(self) -> str:
        trip = self.round_trip
        kept = 100 * (1 - trip.bytes_changed / trip.bytes_given)
        verdict = (
            "lossless: losses have bits per byte"
            if self.is_lossless
            else "lossy: a study refuses it without DataConfig(lossy_tokenizer=True)"
        )
        return "\n".join(
            (
                f"{self.tokenizer} on {trip.documents:,} documents of {self.corpus}, "
                f"{count(trip.bytes_given)} bytes",
                f"{self.bytes_per_token:.3f} bytes per token ({count(self.tokens)} tokens; "
                f"{self.used:,} of {self.vocab_size:,} ids are used)",
                f"{kept:.4g} % of the bytes are in documents that come back unchanged "
                f"({trip.changed_documents:,} documents come back changed)",
                f"{self.unknown:,} unknown tokens",
                verdict,
            )
        )


def check_tokenizer(tokenizer: str, corpus: str) -> TokenizerCheck:
    """Encode and decode the first 16 MiB of `corpus`.

    Args:
        tokenizer: a name as `load_tokenizer` takes it, or the path of a file: a `.json` is of the
            package tokenizers, any other file of SentencePiece.
        corpus: as `load_corpus` takes it.

    Raises:
        InputError: a tokenizer or a corpus that cannot be read, a corpus of tokens, or one without
            text.
    """
    coder, source = load_tokenizer(_named(tokenizer)), load_corpus(corpus)
    trip, tokens, unknown, used = NOTHING, 0, 0, set[int]()
    for document in texts_of(source):
        ids = [int(i) for i in coder.encode(document)]
        before, trip = trip, trip.after(document, ids, coder)
        if trip is before:
            break
        used.update(ids)
        tokens += len(ids) + 1
        unknown += 0 if coder.unknown is None else ids.count(coder.unknown)
    if not trip.bytes_given:
        raise InputError(f"corpus {corpus!r} has no text: give one with documents")
    return TokenizerCheck(
        coder.name, source.name, coder.vocab_size, len(used), tokens, unknown, trip
    )


def _named(tokenizer: str) -> str:
    if not Path(tokenizer).expanduser().is_file():
        return tokenizer
    return f"{'hf' if tokenizer.endswith('.json') else 'sentencepiece'}:{tokenizer}"
