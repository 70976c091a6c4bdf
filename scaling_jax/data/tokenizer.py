"""Tokenizers: bytes, SentencePiece models, Hugging Face tokenizer files, and ids as they are.

A SentencePiece model is a file, or is trained on a corpus at its first use.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scaling_jax.data.corpus import Corpus
from scaling_jax.errors import InputError

TOKENIZER_NAMES = "bytes, sentencepiece:PATH, hf:PATH, trained:VOCAB_SIZE:CORPUS, tokens"

# The tokenizer of corpora whose documents are tokens.
TOKENS = "tokens"
_LARGEST_VOCABULARY = 2**31  # batches are int32

_NEWLINE = 10


@dataclass(frozen=True)
class Tokenizer:
    """A mapping from text to token ids and back.

    Attributes:
        name: the name that `load_tokenizer` was given.
        fingerprint: a hash of the mapping, part of the token cache's key.
        vocab_size: number of token ids; of `tokens`, the most that there can be.
        separator: the token id after every document: end of text, or else a newline; None for
            `tokens`, under which the documents have the separators that they need.
        encode: text to token ids.
        decode: token ids to text.
        unknown: the token id of what the vocabulary lacks, None if nothing can be lacking.
    """

    name: str
    fingerprint: str
    vocab_size: int
    separator: int | None
    encode: Callable[[str], Sequence[int] | np.ndarray]
    decode: Callable[[list[int]], str]
    unknown: int | None = None

    @property
    def is_of_text(self) -> bool:
        """Whether it reads text, so that its tokens stand for bytes."""
        return self.name != TOKENS

    def of(self, corpus: Corpus) -> "Tokenizer":
        """This tokenizer, with the vocabulary of a corpus of tokens.

        Raises:
            InputError: a corpus of tokens under a tokenizer of text, or text under `tokens`.
        """
        if corpus.vocab_size is None:
            if not self.is_of_text:
                raise InputError(
                    f"corpus {corpus.name!r} is text, not tokens: use another tokenizer than "
                    f"{self.name!r}, such as 'bytes'"
                )
            return self
        if self.is_of_text:
            raise InputError(
                f"corpus {corpus.name!r} is tokens, not text: use the tokenizer {TOKENS!r} instead "
                f"of {self.name!r}"
            )
        return replace(self, vocab_size=corpus.vocab_size)


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer called `name`, one of `TOKENIZER_NAMES`.

    Raises:
        InputError: an unknown tokenizer, or a file that is missing or not a tokenizer.
    """
    kind, _, path = name.partition(":")
    if name == "bytes":
        return _bytes()
    if name == TOKENS:
        return tokens_below(_LARGEST_VOCABULARY)
    if kind == "trained" and path:
        # Imported here, since training a tokenizer reads corpora, and they build on this module.
        from scaling_jax.data.trained_tokenizer import trained_model_file

        trained = trained_model_file(path)
        return _sentencepiece(name, str(trained), _digest(trained))
    if kind in ("sentencepiece", "hf") and path:
        file = Path(path).expanduser()
        if not file.is_file():
            raise InputError(f"tokenizer file {path!r} does not exist: train or copy it there")
        load = _sentencepiece if kind == "sentencepiece" else _hugging_face
        return load(name, str(file), _digest(file))
    raise InputError(f"unknown tokenizer {name!r}: use one of {TOKENIZER_NAMES}")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _bytes() -> Tokenizer:
    return Tokenizer(
        name="bytes",
        fingerprint="bytes",
        vocab_size=256,
        separator=_NEWLINE,
        encode=lambda text: np.frombuffer(text.encode(), np.uint8),
        decode=lambda ids: bytes(ids).decode("utf-8", "replace"),
    )


def tokens_below(vocab_size: int) -> Tokenizer:
    """The tokenizer `tokens`, whose text is token ids below `vocab_size` with spaces in between."""
    return Tokenizer(
        name=TOKENS,
        fingerprint=TOKENS,
        vocab_size=vocab_size,
        separator=None,
        encode=lambda text: _ids_of(text, vocab_size),
        decode=lambda ids: " ".join(map(str, ids)),
    )


def _ids_of(text: str, vocab_size: int) -> list[int]:
    words = text.split()
    for word in words:
        if not (word.isascii() and word.isdecimal() and int(word) < vocab_size):
            raise InputError(
                f"{word[:80]!r} is no token id below {vocab_size}: the tokenizer {TOKENS!r} reads "
                "ids with spaces between them, such as '3 1 4'"
            )
    return [int(word) for word in words]


def _sentencepiece(name: str, path: str, digest: str) -> Tokenizer:
    import sentencepiece

    try:
        model = sentencepiece.SentencePieceProcessor(model_file=path)
    except RuntimeError as error:
        raise InputError(f"{path!r} is not a SentencePiece model ({error})") from error
    if model.eos_id() < 0:
        raise InputError(f"{path!r} has no end-of-text piece: train it with an eos_id")
    separator, unknown = model.eos_id(), model.unk_id()
    n_ids, encode, decode = model.vocab_size(), model.encode, model.decode
    return Tokenizer(name, digest, n_ids, separator, encode, decode, unknown)


def _hugging_face(name: str, path: str, digest: str) -> Tokenizer:
    import tokenizers

    try:
        model = tokenizers.Tokenizer.from_file(path)
    except Exception as error:  # the library raises the bare class
        raise InputError(f"{path!r} is not a tokenizers file ({error})") from error
    # A tokenizer file may truncate or pad every text to one length, which would change the corpus.
    model.no_truncation()
    model.no_padding()
    unknown = getattr(model.model, "unk_token", None)
    return Tokenizer(
        name=name,
        fingerprint=digest,
        # Token ids may have gaps, so the number of tokens may be smaller.
        vocab_size=1 + max(model.get_vocab().values()),
        separator=_end_of_text(model, path),
        encode=lambda text: model.encode(text, add_special_tokens=False).ids,
        decode=model.decode,
        unknown=None if unknown is None else model.token_to_id(unknown),
    )


def _end_of_text(model: Any, path: str) -> int:
    for token in ("<|endoftext|>", "</s>", "<eos>", "[SEP]", "<|end_of_text|>"):
        found = model.token_to_id(token)
        if found is not None:
            return found
    newline = model.encode("\n", add_special_tokens=False).ids
    # A vocabulary without a newline may encode it as the unknown token.
    if len(newline) == 1 and model.decode(newline) == "\n":
        return newline[0]
    raise InputError(f"{path!r} has neither an end-of-text token nor a newline: add </s> to it")
