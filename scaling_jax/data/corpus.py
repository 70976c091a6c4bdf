"""What a corpus is, and which names there are for one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scaling_jax.errors import InputError


@dataclass(frozen=True)
class Corpus:
    """A named stream of documents.

    Attributes:
        name: the name it was loaded by.
        fingerprint: changes when the text does; part of the token cache's key.
        documents: a function that gives the documents in a fixed order, anew at each call.
    """

    name: str
    fingerprint: str
    documents: Callable[[], Iterator[str]]


def split_options(argument: str, allowed: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Part `PATH?key=value&key=value` into the path and options over their defaults.

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
