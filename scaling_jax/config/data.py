"""Configuration of a run's text: corpus and tokenizer."""

from dataclasses import dataclass

from scaling_jax.config.strict import later, require_positive, settle_numbers
from scaling_jax.formatting import Readable


@dataclass(frozen=True)
class DataConfig(Readable):
    """The corpus and tokenizer of a run.

    Attributes:
        corpus: a corpus, such as `embedded`, `stdlib`, `tfds:NAME`, `text:PATH`.
        tokenizer: a tokenizer, such as `bytes`, `sentencepiece:PATH`, `hf:PATH`,
            `trained:1024:embedded`.
        repeat: whether the run may read the corpus more than once. Without it, a run that needs
            more tokens than the corpus has is an error.
        unique_tokens: number of distinct tokens to train on, for as many epochs as it takes; by
            default the whole training text. The held-out text is the same.
        lossy_tokenizer: whether the tokenizer may change the text, so that decoding does not give
            it back. Losses are then not given in bits per byte. Without it, such a tokenizer is an
            error.

    Raises:
        InputError: `unique_tokens` below 1.
    """

    corpus: str = "embedded"
    tokenizer: str = "bytes"
    repeat: bool = False
    unique_tokens: int | None = later(None)
    lossy_tokenizer: bool = later(False)

    def __post_init__(self) -> None:
        settle_numbers(self)
        if self.unique_tokens is not None:
            require_positive("unique_tokens", self.unique_tokens)
