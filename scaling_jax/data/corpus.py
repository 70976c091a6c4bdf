"""The type of a corpus, and the syntax of options in a corpus's name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scaling_jax.errors import InputError


@dataclass(frozen=True)
class Corpus:
    """A named stream of documents.

    Attributes:
        name: the name that `load_corpus` was given.
        fingerprint: a hash of the text, part of the token cache's key.
        documents: a function that returns an iterator over the documents in a fixed order.
    """

    name: str
    fingerprint: str
    documents: Callable[[], Iterator[str]]


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
