"""The type of a corpus, and the syntax of options in a corpus's name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError

# Text, or a 1-D array of token ids.
Document = str | np.ndarray


@dataclass(frozen=True)
class Corpus:
    """A named stream of documents.

    Attributes:
        name: the name that `load_corpus` was given.
        fingerprint: a hash of the text, part of the token cache's key.
        documents: a function that returns an iterator over the documents in a fixed order.
        vocab_size: number of token ids, where the documents are tokens, which the tokenizer
            `tokens` takes as they are; None where they are text.
        pieces: functions as `documents` of consecutive parts of the corpus, which can be read
            without the others; empty where it is only read from its beginning.
        entropy: a function from `seq_len` to the known entropy, as `scaling_jax.data.entropy`
            defines it; None where no entropy is known.
    """

    name: str
    fingerprint: str
    documents: Callable[[], Iterator[Document]]
    vocab_size: int | None = None
    entropy: Callable[[int], float | None] | None = None
    pieces: tuple[Callable[[], Iterator[Document]], ...] = ()


def content_of(document: Document) -> bytes:
    """The bytes by which documents are compared: UTF-8 of a text, 32 bits for each token."""
    if isinstance(document, str):
        return document.encode()
    return np.ascontiguousarray(document, "<u4").tobytes()


def split_options(argument: str, allowed: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The path and the options of `PATH?key=value&key=value`.

    `allowed` maps the name of each option to its default.

    Raises:
        InputError: an option that is not in `allowed`.
    """
    path, _, query = argument.partition("?")
    options = dict(allowed)
    for item in query.split("&") if query else []:
        key, _, value = item.partition("=")
        if key not in allowed:
            raise InputError(f"unknown option {key!r} in {argument!r}: use {', '.join(allowed)}")
        options[key] = value
    return path, options


def split_counts(
    name: str, argument: str, allowed: Mapping[str, int], least: Mapping[str, int] | None = None
) -> tuple[str, dict[str, int]]:
    """As `split_options`, with values that are whole numbers; `name` stands before the argument.

    `least` holds the smallest value of an option, by default 1, and 0 for a seed.

    Raises:
        InputError: an option that is not in `allowed`, or a value that is no whole number or too
            small.
    """
    defaults = {key: str(value) for key, value in allowed.items()}
    path, options = split_options(argument, defaults)
    counts = {}
    for key, value in options.items():
        smallest = {"seed": 0, **(least or {})}.get(key, 1)
        if not (value.isascii() and value.isdecimal() and smallest <= int(value) < 2**63):
            raise InputError(
                f"{name}:{argument}: {key} {value!r} must be a whole number of at least {smallest}"
            )
        counts[key] = int(value)
    return path, counts
