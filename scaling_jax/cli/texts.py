"""`tokenizer train`, `tokenizer check` and `corpus check`: a text before a study is planned."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scaling_jax.cli.arguments import Json
from scaling_jax.cli.output import print_json
from scaling_jax.formatting import plain_spaces

Corpus = Annotated[
    str, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS", help="such as text:PATH")
]


def train(
    corpus: Corpus,
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="the file to write")],
    kind: Annotated[
        Literal["sentencepiece", "bpe"],
        tyro.conf.arg(help="bpe: byte-level, a tokenizer.json; both give back every text"),
    ] = "sentencepiece",
    vocab: Annotated[int, tyro.conf.arg(metavar="V", help="number of token ids")] = 2048,
) -> None:
    """Train a lossless tokenizer on the training text of a corpus, and check it."""
    from scaling_jax import data

    name = data.train_tokenizer(corpus, kind, vocab, out)
    print(plain_spaces(str(data.check_tokenizer(name, corpus))))


def check_tokenizer(
    tokenizer: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="or hf:FILE, or bytes")
    ],
    corpus: Corpus,
    /,
    *,
    json: Json = False,
) -> None:
    """Print bytes per token, unknown tokens, and what encoding and decoding loses."""
    from scaling_jax import data

    found = data.check_tokenizer(tokenizer, corpus)
    print_json(found.as_data()) if json else print(plain_spaces(str(found)))


def check_corpus(
    corpus: Corpus,
    /,
    *,
    tokenizer: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help="counts the tokens; bytes, or tokens")
    ] = None,
    seq_len: Annotated[
        int, tyro.conf.arg(metavar="T", help="the window for which a known entropy is printed")
    ] = 128,
    json: Json = False,
) -> None:
    """Print documents, bytes and tokens on both sides of the split, and what is there twice."""
    from scaling_jax import data

    found = data.check_corpus(corpus, tokenizer, seq_len)
    print_json(dataclasses.asdict(found)) if json else print(plain_spaces(str(found)))
