"""The corpus `embedded` in the package: public-domain books and the glosses of WordNet."""

import functools
import hashlib
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaling_jax.data.corpus import Corpus
from scaling_jax.errors import InputError

PARTS = ("austen", "bible", "devil", "wordnet")

_SEPARATOR = "\f"
_FOLDER = Path(__file__).with_name("text")


def load(argument: str = "") -> Corpus:
    """The corpus `embedded`, or `embedded:PART+PART` for some of its parts.

    `text/SOURCES.md` lists the source and licence of every part.

    Raises:
        InputError: a part that there is not, or one that is given twice.
    """
    parts = _parts(argument) if argument else PARTS
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_path(part).read_bytes())
    name = f"embedded:{argument}" if argument else "embedded"
    return Corpus(name, digest.hexdigest(), functools.partial(documents, parts))


def documents(parts: Sequence[str] = PARTS) -> Iterator[str]:
    """Documents of about 3,000 characters, in the order of `parts`."""
    for part in parts:
        yield from lzma.decompress(_path(part).read_bytes()).decode().split(_SEPARATOR)


def _parts(argument: str) -> list[str]:
    """The parts that are named, in the order of `PARTS`, so that equal texts are equal corpora."""
    named = argument.split("+")
    for part in named:
        if part not in PARTS:
            raise InputError(
                f"embedded:{argument} has no part {part!r}: use {', '.join(PARTS)}, joined by +"
            )
        if named.count(part) > 1:
            raise InputError(f"embedded:{argument} has {part!r} twice: leave one out")
    return [part for part in PARTS if part in named]


def _path(part: str) -> Path:
    return _FOLDER / f"{part}.txt.xz"
