"""Every corpus by name."""

from scaling_jax.data.corpus import Corpus
from scaling_jax.errors import InputError

CORPUS_NAMES = "embedded, stdlib, text:PATH, jsonl:PATH[?field=NAME], tfds:NAME, synthetic:SPEC"


def load_corpus(name: str) -> Corpus:
    """The corpus called `name`, one of `CORPUS_NAMES`.

    Raises:
        InputError: an unknown kind, or a missing or empty file.
    """
    from scaling_jax.data import embedded, files, stdlib, synthetic, tfds

    kind, _, rest = name.partition(":")
    plain = {"embedded": embedded.load, "stdlib": stdlib.load}
    with_argument = {
        "text": files.load_text,
        "jsonl": files.load_jsonl,
        "tfds": tfds.load,
        "synthetic": synthetic.load,
    }
    if kind in plain and not rest:
        return plain[kind]()
    if kind in with_argument and rest:
        return with_argument[kind](rest)
    raise InputError(f"unknown corpus {name!r}: use one of {CORPUS_NAMES}")
