"""The tokenizer `trained:VOCAB_SIZE:CORPUS`, which is trained at its first use."""

import hashlib
from pathlib import Path

from scaling_jax.data.registry import load_corpus
from scaling_jax.data.tokenizer_training import train_tokenizer
from scaling_jax.errors import InputError
from scaling_jax.system.environment import default_cache_dir


def trained_model_file(argument: str) -> Path:
    """The file of the SentencePiece model `VOCAB_SIZE:CORPUS`: of the cache, or trained first.

    Training gives the same file from the same text. So processes that train it at once do not
    disturb each other, and runs on several machines have the same tokens; a run whose tokens
    differ is refused when it resumes.

    Raises:
        InputError: no vocabulary size or corpus, or as `train_tokenizer`.
    """
    size, _, corpus = argument.partition(":")
    if not (size.isascii() and size.isdecimal() and corpus):
        raise InputError(
            f"tokenizer 'trained:{argument}' names no vocabulary size and corpus: write "
            "trained:VOCAB_SIZE:CORPUS, such as trained:1024:embedded"
        )
    identity = f"{load_corpus(corpus).fingerprint} {int(size)}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:24]
    path = default_cache_dir() / "tokenizers" / f"{digest}.model"
    if not path.is_file():
        train_tokenizer(corpus, "sentencepiece", int(size), path)
    return path
