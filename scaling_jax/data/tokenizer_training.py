"""Tokenizers trained on a corpus, with settings that give back every text."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from etils import epath

from scaling_jax.data.corpus import Corpus
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.split import is_held_out, texts_of
from scaling_jax.errors import InputError
from scaling_jax.system.files import replacing

TokenizerKind = Literal["sentencepiece", "bpe"]

END_OF_TEXT = "<|endoftext|>"

_LONGEST_LINE = 2**20  # bytes; SentencePiece skips longer lines in training
_LEAST_BPE = 257  # a token for each byte, and the end of a text


def train_tokenizer(corpus: str, kind: TokenizerKind, vocab_size: int, path: Path) -> str:
    """Train a tokenizer on the training text of `corpus`, and return its name for `load_tokenizer`.

    Documents that are held out from training are held out from the tokenizer too.

    Args:
        corpus: as `load_corpus` takes it.
        kind: `sentencepiece`, a byte-pair model with byte fallback; or `bpe`, a byte-level one in
            the file of the package tokenizers.
        vocab_size: number of token ids.
        path: the file to write.

    Raises:
        InputError: a corpus that cannot be read or is too small for the vocabulary, or a file that
            cannot be written.
    """
    whole = load_corpus(corpus)
    texts_of(whole)  # refuses tokens before the packages below read the first document
    training = Corpus(whole.name, whole.fingerprint, lambda: _training_documents(whole))
    train = {"sentencepiece": train_sentencepiece, "bpe": train_bpe}[kind]
    train(training, vocab_size, path)
    return f"{'hf' if kind == 'bpe' else kind}:{path}"


def train_sentencepiece(corpus: Corpus, vocab_size: int, path: Path) -> None:
    """Train a SentencePiece byte-pair model with byte fallback on `corpus`; write it to `path`.

    Raises:
        InputError: a corpus of tokens, one that is too small for the vocabulary, or a `path` that
            cannot be written.
    """
    import sentencepiece

    texts, model = texts_of(corpus), io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(texts),
            model_writer=model,
            vocab_size=vocab_size,
            model_type="bpe",
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            max_sentence_length=_LONGEST_LINE,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _too_small(corpus, vocab_size, str(error)) from error
    _write(path, lambda temporary: temporary.write_bytes(model.getvalue()))


def train_bpe(corpus: Corpus, vocab_size: int, path: Path) -> None:
    """Train a byte-level byte-pair tokenizer on `corpus`; write its `tokenizer.json` to `path`.

    Raises:
        InputError: a corpus of tokens, one that is too small for the vocabulary, fewer than 257
            ids, or a `path` that cannot be written.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocab_size < _LEAST_BPE:
        raise InputError(
            f"vocab_size {vocab_size} is below {_LEAST_BPE}, the 256 bytes and the end of a text: "
            "raise it"
        )
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts_of(corpus), trainer)
    if (learnt := model.get_vocab_size()) < vocab_size:
        raise _too_small(corpus, vocab_size, f"the text gives {learnt}")
    _write(path, lambda temporary: temporary.write_text(model.to_str()))


def _training_documents(corpus: Corpus) -> Iterator[str]:
    return (text for text in texts_of(corpus) if not is_held_out(text.encode()))


def _lines(texts: Iterator[str]) -> Iterator[str]:
    for document in texts:
        yield from document.splitlines()


def _too_small(corpus: Corpus, vocab_size: int, reason: str) -> InputError:
    return InputError(
        f"cannot train {vocab_size} pieces on {corpus.name} ({reason}): "
        "use a smaller vocabulary or more text"
    )


def _write(path: Path, write: Callable[[epath.Path], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(epath.Path(path)) as temporary:
            write(temporary)
    except OSError as error:
        raise InputError(
            f"cannot write the tokenizer {path} ({error.strerror}): choose another path"
        ) from error
