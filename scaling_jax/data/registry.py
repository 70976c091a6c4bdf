"""The table of corpora: what each name loads."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from scaling_jax.data import (
    arrays,
    embedded,
    files,
    images,
    mixture,
    music,
    sound,
    stdlib,
    synthetic,
    tfds,
)
from scaling_jax.data.corpus import Corpus
from scaling_jax.errors import InputError


@dataclass(frozen=True)
class Kind:
    """One kind of corpus.

    Attributes:
        usage: how a user writes the name of such a corpus, as in `text:PATH`; what stands in
            brackets may be left out.
        load: loads the corpus; if `usage` has a colon, `load` takes the part of the name after it.
        keeps_hashes: whether `load` takes a second argument, the cache that hashes of files in
            buckets are kept in.
    """

    usage: str
    load: Callable[..., Corpus]
    keeps_hashes: bool = False

    def takes(self, argument: str) -> bool:
        """Whether a name may have, or lack, this part after the colon."""
        return "[:" in self.usage or (":" in self.usage) == bool(argument)


# The key is the name of a corpus up to the first colon.
CORPORA: dict[str, Kind] = {
    "embedded": Kind("embedded[:PART+PART]", embedded.load),
    "stdlib": Kind("stdlib", stdlib.load),
    "text": Kind("text:PATH", files.load_text, keeps_hashes=True),
    "jsonl": Kind("jsonl:PATH[?field=NAME]", files.load_jsonl, keeps_hashes=True),
    "tfds": Kind("tfds:NAME", tfds.load),
    "array": Kind("array:PATH.npy", arrays.load),
    "images": Kind("images:SOURCE", images.load),
    "sound": Kind("sound:notes", sound.load),
    "music": Kind("music:tunes", music.load),
    "mixture": Kind("mixture:CORPUS*WEIGHT,CORPUS*WEIGHT", mixture.load, keeps_hashes=True),
    "synthetic": Kind("synthetic:SPEC", synthetic.load),
}


def load_corpus(name: str, cache_dir: os.PathLike | str | None = None) -> Corpus:
    """The corpus called `name`, in one of the forms of `CORPORA`.

    Hashes of files in buckets are kept in the cache `cache_dir`.

    Raises:
        InputError: an unknown kind, or a missing or empty file.
    """
    key, _, argument = name.partition(":")
    kind = CORPORA.get(key)
    if kind is None or not kind.takes(argument):
        known = ", ".join(kind.usage for kind in CORPORA.values())
        raise InputError(f"unknown corpus {name!r}: use one of {known}")
    arguments = [argument] if argument else []
    return kind.load(*arguments, *([cache_dir] if kind.keeps_hashes else []))
