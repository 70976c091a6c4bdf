"""Corpora of tokens that stand in a NumPy file."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.errors import InputError

_BLOCK = 2048  # tokens of a document, where nothing in the array says where documents end
_CHUNK = 2**22
_LARGEST = 2**31 - 1  # batches are int32


def load(argument: str) -> Corpus:
    """The corpus `array:PATH.npy?separator=ID` of whole numbers, which is read from its place.

    A row of a 2-D array is a document; `separator` is the token to put after each, by default none.
    A 1-D array is cut after every `separator`, or without one into blocks of 2,048 tokens.

    Raises:
        InputError: no such file, an array of other than whole numbers or of more than two
            dimensions, no tokens, or a token that is negative or too large.
    """
    path, options = split_options(argument, {"separator": ""})
    text = options["separator"]
    if text and not (text.isascii() and text.isdecimal() and int(text) <= _LARGEST):
        raise InputError(f"array:{argument}: separator {text!r} must be a token id, such as 0")
    separator = int(text) if text else None
    tokens = _opened(path)
    largest = max(_largest(tokens, path), -1 if separator is None else separator)
    with open(Path(path).expanduser(), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Corpus(
        f"array:{argument}", f"{digest}-{text}", lambda: _documents(tokens, separator), largest + 1
    )


def _opened(path: str) -> np.ndarray:
    try:
        tokens = np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give a .npy file") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is no array of tokens ({error}): give a .npy file") from error
    if not isinstance(tokens, np.ndarray):
        raise InputError(f"{path} holds several arrays: save one with numpy.save")
    if tokens.ndim not in (1, 2):
        raise InputError(
            f"{path} has {tokens.ndim} dimensions: give 1, or 2 with a document in each row"
        )
    if not np.issubdtype(tokens.dtype, np.integer):
        raise InputError(f"{path} holds {tokens.dtype}, but tokens are whole numbers: convert it")
    if tokens.size == 0:
        raise InputError(f"{path} is empty: give an array with tokens")
    return tokens


def _largest(tokens: np.ndarray, path: str) -> int:
    """The largest token, after a check of all."""
    rows = max(1, _CHUNK // (tokens.size // len(tokens)))
    parts = [tokens[first : first + rows] for first in range(0, len(tokens), rows)]
    least, largest = min(int(p.min()) for p in parts), max(int(p.max()) for p in parts)
    if least < 0:
        raise InputError(f"{path} has the token {least}: tokens must be 0 or more")
    if largest > _LARGEST:
        raise InputError(f"{path} has the token {largest}: tokens must be below 2^31")
    return largest


def _documents(tokens: np.ndarray, separator: int | None) -> Iterator[np.ndarray]:
    if tokens.ndim == 2:
        end = [] if separator is None else [separator]
        yield from (np.concatenate([row.astype(np.int64), end]).astype(np.int64) for row in tokens)
    elif separator is None:
        yield from (tokens[first : first + _BLOCK] for first in range(0, len(tokens), _BLOCK))
    else:
        yield from _ended_by(tokens, separator)


def _ended_by(tokens: np.ndarray, separator: int) -> Iterator[np.ndarray]:
    begin = 0
    for first in range(0, len(tokens), _CHUNK):
        for place in np.flatnonzero(tokens[first : first + _CHUNK] == separator):
            end = first + int(place) + 1
            yield tokens[begin:end]
            begin = end
    if begin < len(tokens):
        yield tokens[begin:]
