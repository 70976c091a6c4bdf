"""A cache of tokenized corpora: memory-mapped tokens, split by document into two parts."""

import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from etils import epath
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.data.corpus import Corpus, content_of
from scaling_jax.data.registry import load_corpus
from scaling_jax.data.round_trip import NOTHING, RoundTrip, round_trip
from scaling_jax.data.split import HELD_OUT_FRACTION, documents_of, is_held_out
from scaling_jax.data.tokenizer import TOKENS, Tokenizer, load_tokenizer
from scaling_jax.errors import InputError
from scaling_jax.system.environment import default_cache_dir
from scaling_jax.system.files import write_text_atomically

T = TypeVar("T")

_FORMAT = 1
_META = "meta.json"
_ROUND_TRIP = "round_trip.json"
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class TokenCache:
    """Memory-mapped tokens of one corpus under one tokenizer, for training and held out.

    Attributes:
        train: 1-D training tokens, memory-mapped uint16 or uint32.
        held_out: 1-D held-out tokens, from other documents.
        vocab_size: the tokenizer's number of token ids.
        held_out_bytes: UTF-8 bytes of the held-out text, separators included; 0 where the
            documents are tokens.
        fingerprint: a hash of the corpus, the tokenizer and the split.
        round_trip: what the tokenizer changes in the held-out documents.
    """

    train: np.ndarray
    held_out: np.ndarray
    vocab_size: int
    held_out_bytes: int
    fingerprint: str
    round_trip: RoundTrip

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


def prepare(
    corpus: str,
    tokenizer: str,
    cache_dir: os.PathLike | str | None = None,
    *,
    held_out_fraction: float = HELD_OUT_FRACTION,
    progress: bool = True,
) -> TokenCache:
    """Tokens of `corpus`, tokenized at the first call and memory-mapped at later ones.

    A hash of a document's text decides whether the document is held out, so equal documents are
    never on both sides of the split. If several processes call this at once, one of them tokenizes
    and the others wait. The cache directory is renamed into place when it is complete; a directory
    that a killed process left incomplete is deleted at the next call. A held-out fraction of 1
    leaves no text for training.

    Raises:
        InputError: an unknown corpus or tokenizer, text under the tokenizer of tokens or the
            reverse, no text on one side of the split, or a cache directory that cannot be written.
    """
    if not 0 < held_out_fraction <= 1:
        raise InputError(f"held_out_fraction {held_out_fraction} must lie in (0, 1]")
    source = load_corpus(corpus)
    coder = load_tokenizer(tokenizer).of(source)
    identity = f"{_FORMAT} {source.fingerprint} {coder.fingerprint} {held_out_fraction}"
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:24]
    root = Path(cache_dir) if cache_dir else default_cache_dir()
    directory = root / fingerprint
    if not (directory / _META).exists():
        _build(directory, source, coder, held_out_fraction, progress)
    if (directory / _ROUND_TRIP).exists():
        measured = _stored(RoundTrip, directory / _ROUND_TRIP)
    else:
        measured = _measure_round_trip(directory, source, coder, held_out_fraction)
    return _open(directory, fingerprint, measured)


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


def _stored(kind: type[T], path: Path) -> T:
    """The dataclass that a file of a cache holds.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return from_dict(kind, parsed_json(path.read_text(encoding="utf-8"), path.name), path.name)
    except (OSError, ValueError) as error:
        raise _damaged(path, getattr(error, "strerror", None) or str(error)) from error


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(
        f"{path} is damaged ({problem}): delete {path.parent}, and the text is tokenized again"
    )


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
        if not (directory / _META).exists():
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
        (temporary / _META).write_text(json.dumps(meta))
        try:
            temporary.rename(directory)
        except OSError:
            if not (directory / _META).exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_tokens(
    directory: Path, corpus: Corpus, coder: Tokenizer, held_out_fraction: float, progress: bool
) -> dict:
    dtype = np.dtype(np.uint16 if coder.vocab_size <= 2**16 else np.uint32)
    counts = {"train": 0, "held_out": 0}
    held_out_bytes = replaced = 0
    measured = NOTHING
    with (
        open(directory / "train.bin", "wb") as train,
        open(directory / "held_out.bin", "wb") as held_out,
        _progress_line(f"tokenizing {corpus.name}", progress) as advance,
    ):
        for document in documents_of(corpus):
            content = content_of(document)
            side = "held_out" if is_held_out(content, held_out_fraction) else "train"
            if isinstance(document, str):
                replaced += document.count(_REPLACEMENT)
                encoded = coder.encode(document)
                if side == "held_out":
                    measured = measured.after(document, encoded, coder)
                    held_out_bytes += len(content) + 1
                ids = np.append(np.asarray(encoded, dtype), np.array([coder.separator], dtype))
            else:
                ids = np.asarray(document, dtype)
            (held_out if side == "held_out" else train).write(ids.tobytes())
            counts[side] += len(ids)
            advance(len(content))
    if replaced:
        print(
            f"corpus {corpus.name!r}: {replaced:,} characters could not be decoded and are now "
            "U+FFFD, the replacement character; convert the files to UTF-8 to keep them",
            file=sys.stderr,
        )
    if not counts["held_out"] or (not counts["train"] and held_out_fraction < 1):
        raise InputError(
            f"corpus {corpus.name!r} is too short: {counts['train']} training and "
            f"{counts['held_out']} held-out tokens; use more documents"
        )
    _save_round_trip(directory, measured, coder.name)
    return {
        "dtype": dtype.name,
        "vocab_size": coder.vocab_size,
        "held_out_bytes": held_out_bytes,
        "corpus": corpus.name,
        "tokenizer": coder.name,
        "replaced_characters": replaced,
        **counts,
    }


@contextmanager
def _progress_line(label: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of bytes of each document.

    The progress is drawn on standard error if `shown` and standard error is a terminal.
    """
    console = Console(file=sys.stderr)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=None)
        yield lambda n_bytes: bar.advance(task, n_bytes)


def _save_round_trip(directory: Path, measured: RoundTrip, tokenizer: str) -> None:
    if not measured.is_lossless:
        described = measured.describe(tokenizer)
        print(f"warning: {described}; bits per byte are left out", file=sys.stderr)
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


def _open(directory: Path, fingerprint: str, measured: RoundTrip) -> TokenCache:
    meta = _stored(_Meta, directory / _META)
    train, held_out = (
        _tokens(directory / f"{side}.bin", meta.dtype, n_tokens)
        for side, n_tokens in (("train", meta.train), ("held_out", meta.held_out))
    )
    return TokenCache(train, held_out, meta.vocab_size, meta.held_out_bytes, fingerprint, measured)


def _tokens(path: Path, dtype: str, n_tokens: int) -> np.ndarray:
    size = path.stat().st_size if path.is_file() else 0
    if size != n_tokens * np.dtype(dtype).itemsize:
        raise _damaged(path, f"it has {size:,} bytes, not those of {n_tokens:,} tokens")
    if n_tokens == 0:
        return np.empty(0, dtype)  # An empty file cannot be mapped.
    return np.memmap(path, dtype=dtype, mode="r")
