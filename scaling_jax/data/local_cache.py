"""A cache of tokens on this machine: memory-mapped files, written by one process at a time."""

import json
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from etils import epath

from scaling_jax.data.cache_files import (
    META,
    check_long_enough,
    damaged,
    progress_line,
    stored,
    warn_of_loss,
    warn_of_replaced,
)
from scaling_jax.data.corpus import Corpus
from scaling_jax.data.encoded import Encoder
from scaling_jax.data.round_trip import RoundTrip, round_trip
from scaling_jax.data.split import documents_of, is_held_out
from scaling_jax.data.token_cache import TokenCache
from scaling_jax.data.tokenizer import Tokenizer
from scaling_jax.errors import InputError
from scaling_jax.system.files import write_text_atomically

_ROUND_TRIP = "round_trip.json"


@dataclass(frozen=True)
class _Meta:
    """The contents of `meta.json`; caches of earlier versions lack the field with a default."""

    dtype: Literal["uint16", "uint32"]
    vocab_size: int
    held_out_bytes: int
    corpus: str
    tokenizer: str
    train: int
    held_out: int
    replaced_characters: int = 0


def local_tokens(
    directory: Path, corpus: Corpus, coder: Tokenizer, held_out_fraction: float, progress: bool
) -> TokenCache:
    """The tokens in `directory`, whose name is their fingerprint; written there if it is missing.

    Raises:
        InputError: a damaged cache, a corpus that is too short, or a directory that cannot be
            written.
    """
    if not (directory / META).exists():
        _build(directory, corpus, coder, held_out_fraction, progress)
    if (directory / _ROUND_TRIP).exists():
        measured = stored(RoundTrip, epath.Path(directory / _ROUND_TRIP))
    else:
        measured = _measure_round_trip(directory, corpus, coder, held_out_fraction)
    return _open(directory, measured)


def _build(
    directory: Path, corpus: Corpus, coder: Tokenizer, held_out_fraction: float, progress: bool
) -> None:
    import filelock

    lock = filelock.FileLock(os.fspath(directory.parent / f".{directory.name}.lock"))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise InputError(
            f"cannot write the token cache {directory.parent} ({error.strerror}): "
            "set SCALING_JAX_CACHE to a writable directory"
        ) from error
    try:
        # Another process may have finished the same cache while this one waited.
        if not (directory / META).exists():
            _build_locked(directory, corpus, coder, held_out_fraction, progress)
    finally:
        lock.release()


def _build_locked(
    directory: Path, corpus: Corpus, coder: Tokenizer, held_out_fraction: float, progress: bool
) -> None:
    for abandoned in directory.parent.glob(f".{directory.name}-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    # On a file system whose locks do not work across machines, two processes may be here at once,
    # so each writes to a directory of its own.
    temporary = directory.parent / f".{directory.name}-{secrets.token_hex(8)}"
    temporary.mkdir()
    try:
        meta = _write_tokens(temporary, corpus, coder, held_out_fraction, progress)
        (temporary / META).write_text(json.dumps(meta))
        try:
            temporary.rename(directory)
        except OSError:
            if not (directory / META).exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_tokens(
    directory: Path, corpus: Corpus, coder: Tokenizer, held_out_fraction: float, progress: bool
) -> dict:
    encoder = Encoder(coder, held_out_fraction)
    with (
        open(directory / "train.bin", "wb") as train,
        open(directory / "held_out.bin", "wb") as held_out,
        progress_line(f"tokenizing {corpus.name}", progress) as advance,
    ):
        for document in documents_of(corpus):
            side, ids, n_bytes = encoder(document)
            (held_out if side == "held_out" else train).write(ids.tobytes())
            advance(n_bytes)
    warn_of_replaced(corpus.name, encoder.replaced)
    check_long_enough(
        corpus.name, encoder.tokens["train"], encoder.tokens["held_out"], held_out_fraction
    )
    _save_round_trip(directory, encoder.round_trip, coder.name)
    return {
        "dtype": encoder.dtype.name,
        "vocab_size": coder.vocab_size,
        "held_out_bytes": encoder.held_out_bytes,
        "corpus": corpus.name,
        "tokenizer": coder.name,
        "replaced_characters": encoder.replaced,
        **encoder.tokens,
    }


def _save_round_trip(directory: Path, measured: RoundTrip, tokenizer: str) -> None:
    warn_of_loss(measured, tokenizer)
    # A cache that belongs to somebody else may be read-only; the next call then measures again.
    with suppress(OSError):
        write_text_atomically(epath.Path(directory / _ROUND_TRIP), json.dumps(asdict(measured)))


def _measure_round_trip(
    directory: Path, corpus: Corpus, coder: Tokenizer, held_out_fraction: float
) -> RoundTrip:
    """What the tokenizer changes, for a cache that was written without the measurement."""
    held_out = (
        document
        for document in documents_of(corpus)
        if isinstance(document, str) and is_held_out(document.encode(), held_out_fraction)
    )
    measured = round_trip(held_out, coder)
    _save_round_trip(directory, measured, coder.name)
    return measured


def _open(directory: Path, measured: RoundTrip) -> TokenCache:
    meta = stored(_Meta, epath.Path(directory / META))
    train, held_out = (
        _tokens(directory / f"{side}.bin", meta.dtype, n_tokens)
        for side, n_tokens in (("train", meta.train), ("held_out", meta.held_out))
    )
    return TokenCache(
        train, held_out, meta.vocab_size, meta.held_out_bytes, directory.name, measured
    )


def _tokens(path: Path, dtype: str, n_tokens: int) -> np.ndarray:
    size = path.stat().st_size if path.is_file() else 0
    if size != n_tokens * np.dtype(dtype).itemsize:
        raise damaged(epath.Path(path), f"it has {size:,} bytes, not those of {n_tokens:,} tokens")
    if n_tokens == 0:
        return np.empty(0, dtype)  # An empty file cannot be mapped.
    return np.memmap(path, dtype=dtype, mode="r")
