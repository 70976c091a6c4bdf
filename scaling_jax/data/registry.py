"""The table of corpora: what each name loads."""

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
        usage: how a user writes the name of such a corpus, as in `text:PATH`.
        load: loads the corpus; if `usage` has a colon, `load` takes the part of the name after it.
    """

    usage: str
    load: Callable[..., Corpus]


# The key is the name of a corpus up to the first colon.
CORPORA: dict[str, Kind] = {
    "embedded": Kind("embedded", embedded.load),
    "stdlib": Kind("stdlib", stdlib.load),
    "text": Kind("text:PATH", files.load_text),
    "jsonl": Kind("jsonl:PATH[?field=NAME]", files.load_jsonl),
    "tfds": Kind("tfds:NAME", tfds.load),
    "array": Kind("array:PATH.npy", arrays.load),
    "images": Kind("images:SOURCE", images.load),
    "sound": Kind("sound:notes", sound.load),
    "music": Kind("music:tunes", music.load),
    "mixture": Kind("mixture:CORPUS*WEIGHT,CORPUS*WEIGHT", mixture.load),
    "synthetic": Kind("synthetic:SPEC", synthetic.load),
}


def load_corpus(name: str) -> Corpus:
    """The corpus called `name`, in one of the forms of `CORPORA`.

    Raises:
        InputError: an unknown kind, or a missing or empty file.
    """
    key, _, argument = name.partition(":")
    kind = CORPORA.get(key)
    if kind is None or (":" in kind.usage) != bool(argument):
        known = ", ".join(kind.usage for kind in CORPORA.values())
        raise InputError(f"unknown corpus {name!r}: use one of {known}")
    return kind.load(argument) if argument else kind.load()
