"""The corpus that ships with the package: public-domain books and WordNet's glosses."""

import hashlib
import lzma
from collections.abc import Iterator
from pathlib import Path

from scaling_jax.data.corpus import Corpus

PARTS = ("austen", "bible", "devil", "wordnet")

_SEPARATOR = "\f"
_FOLDER = Path(__file__).with_name("text")


def load() -> Corpus:
    """The embedded corpus; `text/SOURCES.md` names every part's source and licence."""
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update(_path(part).read_bytes())
    return Corpus("embedded", digest.hexdigest(), documents)


def documents() -> Iterator[str]:
    """Documents of about 3,000 characters, part by part."""
    for part in PARTS:
        yield from lzma.decompress(_path(part).read_bytes()).decode().split(_SEPARATOR)


def _path(part: str) -> Path:
    return _FOLDER / f"{part}.txt.xz"
