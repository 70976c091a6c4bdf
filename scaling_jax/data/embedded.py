"""The corpus `embedded` in the package: public-domain books and the glosses of WordNet."""

import hashlib
import lzma
from collections.abc import Iterator
from pathlib import Path

from scaling_jax.data.corpus import Corpus

PARTS = ("austen", "bible", "devil", "wordnet")

_SEPARATOR = "\f"
_FOLDER = Path(__file__).with_name("text")


def load() -> Corpus:
    """The corpus `embedded`; `text/SOURCES.md` lists the source and licence of every part."""
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update(_path(part).read_bytes())
    return Corpus("embedded", digest.hexdigest(), documents)


def documents() -> Iterator[str]:
    """Documents of about 3,000 characters, in the order of `PARTS`."""
    for part in PARTS:
        yield from lzma.decompress(_path(part).read_bytes()).decode().split(_SEPARATOR)


def _path(part: str) -> Path:
    return _FOLDER / f"{part}.txt.xz"
