"""A cache of tokens in a bucket: parts that many hosts write, and one index of them.

The tokens are those of a cache on this machine, in the same order. A part holds the documents of
one piece of the corpus (a file, or the whole corpus) from one number of characters to the next, so
that every process cuts the same parts. An object in a bucket appears whole or not at all. A process
writes the parts that are missing, and whichever process first finds all of them writes the index.
"""

import functools
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from etils import epath

from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.data.cache_files import (
    META,
    check_long_enough,
    damaged,
    progress_line,
    stored,
    warn_of_loss,
    warn_of_replaced,
)
from scaling_jax.data.corpus import Corpus, Document
from scaling_jax.data.encoded import Encoder, Side
from scaling_jax.data.round_trip import NOTHING, RoundTrip
from scaling_jax.data.shared_work import process_share, share_out
from scaling_jax.data.split import valid
from scaling_jax.data.streamed import Span, StreamedTokens
from scaling_jax.data.token_cache import TokenCache
from scaling_jax.data.tokenizer import Tokenizer
from scaling_jax.errors import InputError
from scaling_jax.system.byte_ranges import Range, requested
from scaling_jax.system.files import names, write_bytes_atomically, write_text_atomically

# Characters, or tokens of a corpus of tokens, after which a part ends.
PART_SIZE = 2**24
_HEADER_BYTES = 512

_NAME = re.compile(r"(\d{8})-(\d{6})\.(part|last)")


@dataclass(frozen=True)
class _Part:
    """What the first bytes of a part say of it, as JSON: tokens of both sides, and counts."""

    train: int
    held_out: int
    held_out_bytes: int
    replaced: int
    round_trip: RoundTrip


@dataclass(frozen=True)
class _Index:
    """The contents of `meta.json` in a bucket; `parts` has the tokens of each name, in order."""

    dtype: Literal["uint16", "uint32"]
    vocab_size: int
    held_out_bytes: int
    corpus: str
    tokenizer: str
    folder: str
    parts: dict[str, tuple[int, int]]
    round_trip: RoundTrip


def shared_tokens(
    directory: epath.Path,
    corpus: Corpus,
    coder: Tokenizer,
    held_out_fraction: float,
    progress: bool,
    memory: int,
) -> TokenCache:
    """The tokens in `directory` of a bucket, whose name is their fingerprint.

    What is missing is written, by all processes that train together.

    Raises:
        InputError: a damaged cache, a corpus that is too short, or a bucket that cannot be written.
    """
    if not (directory / META).exists():
        _build(directory, corpus, coder, held_out_fraction, progress)
    return _open(os.fspath(directory), memory)


def _build(
    directory: epath.Path,
    corpus: Corpus,
    coder: Tokenizer,
    held_out_fraction: float,
    progress: bool,
) -> None:
    folder = directory / f"parts-{PART_SIZE}"
    with _writing(directory):
        folder.mkdir(parents=True, exist_ok=True)
    pieces = corpus.pieces or (corpus.documents,)
    _, n_processes = process_share()
    # A piece that there is only one of is read by all processes, each of which encodes a share.
    n_shares = 1 if len(pieces) >= n_processes else n_processes

    with progress_line(f"tokenizing {corpus.name}", progress) as advance:

        def done() -> set[int]:
            there = _numbers(folder)
            return {
                piece * n_shares + share
                for piece, numbers in there.items()
                for share in range(n_shares)
                if _is_complete(numbers, share, n_shares)
            }

        def do(unit: int) -> None:
            piece, share = divmod(unit, n_shares)
            _write_parts(
                folder,
                piece,
                pieces[piece],
                (share, n_shares),
                functools.partial(Encoder, coder, held_out_fraction),
                advance,
            )

        share_out(len(pieces) * n_shares, done, do)
    _write_index(directory, folder, corpus, coder, held_out_fraction)


def _name(piece: int, number: int, is_last: bool) -> str:
    return f"{piece:08d}-{number:06d}.{'last' if is_last else 'part'}"


def _numbers(folder: epath.Path) -> dict[int, dict[int, bool]]:
    """For each piece that has parts there, their numbers, and whether each is the last one."""
    found = defaultdict[int, dict[int, bool]](dict)
    for name in names(folder):
        if match := _NAME.fullmatch(name):
            found[int(match[1])][int(match[2])] = match[3] == "last"
    return found


def _is_complete(numbers: dict[int, bool], share: int, n_shares: int) -> bool:
    """Whether a share of a piece is there, which is known once the last part is."""
    last = next((number for number, is_last in numbers.items() if is_last), None)
    return last is not None and all(n in numbers for n in range(share, last + 1, n_shares))


def _write_parts(
    folder: epath.Path,
    piece: int,
    documents: Callable[[], Iterator[Document]],
    share: tuple[int, int],
    encoder: Callable[[], Encoder],
    advance: Callable[[int], None],
) -> None:
    """Write the parts of a share of a piece that are not there."""
    for number, (group, is_last) in enumerate(_groups(documents())):
        path = folder / _name(piece, number, is_last)
        if number % share[1] == share[0] and not path.exists():
            content = _encoded(group, encoder(), advance)
            with _writing(folder.parent):
                write_bytes_atomically(path, content)


def _groups(documents: Iterator[Document]) -> Iterator[tuple[list[Document], bool]]:
    """The documents of each part, and whether it is the last one; at least one part."""
    group, size = list[Document](), 0
    for document in documents:
        if size >= PART_SIZE:
            yield group, False
            group, size = [], 0
        group.append(document)
        size += len(document)
    yield group, True


def _encoded(
    documents: Sequence[Document], encoder: Encoder, advance: Callable[[int], None]
) -> bytes:
    """A part: a header, the training tokens and the held-out tokens, little-endian."""
    sides: dict[Side, list[np.ndarray]] = {"train": [], "held_out": []}
    for document in documents:
        side, ids, n_bytes = encoder(valid(document))
        sides[side].append(ids)
        advance(n_bytes)
    part = _Part(
        train=encoder.tokens["train"],
        held_out=encoder.tokens["held_out"],
        held_out_bytes=encoder.held_out_bytes,
        replaced=encoder.replaced,
        round_trip=encoder.round_trip,
    )
    header = json.dumps(asdict(part)).encode().ljust(_HEADER_BYTES)
    little = encoder.dtype.newbyteorder("<")
    tokens = [np.concatenate(s).astype(little).tobytes() for s in sides.values() if s]
    return b"".join([header, *tokens])


def _write_index(
    directory: epath.Path,
    folder: epath.Path,
    corpus: Corpus,
    coder: Tokenizer,
    held_out_fraction: float,
) -> None:
    if (directory / META).exists():
        return  # Another process was faster.
    paths = [folder / name for name in sorted(names(folder)) if _NAME.fullmatch(name)]
    parts = {path.name: part for path, part in zip(paths, _headers(paths), strict=True)}
    check_long_enough(
        corpus.name,
        sum(part.train for part in parts.values()),
        sum(part.held_out for part in parts.values()),
        held_out_fraction,
    )
    measured = NOTHING
    for part in parts.values():
        measured = measured.plus(part.round_trip)
    warn_of_replaced(corpus.name, sum(part.replaced for part in parts.values()))
    warn_of_loss(measured, coder.name)
    index = _Index(
        dtype="uint16" if Encoder(coder, held_out_fraction).dtype == np.uint16 else "uint32",
        vocab_size=coder.vocab_size,
        held_out_bytes=sum(part.held_out_bytes for part in parts.values()),
        corpus=corpus.name,
        tokenizer=coder.name,
        folder=folder.name,
        parts={name: (part.train, part.held_out) for name, part in parts.items()},
        round_trip=measured,
    )
    with _writing(directory):
        write_text_atomically(directory / META, json.dumps(asdict(index)))


@contextmanager
def _writing(directory: epath.Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # packages of buckets raise errors of their own
        problem = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write the token cache {directory} ({problem}): name a cache that can be "
            "written"
        ) from error


def _headers(paths: Sequence[epath.Path]) -> Iterator[_Part]:
    ranges = [Range(os.fspath(path), 0, _HEADER_BYTES) for path in paths]
    content = requested(ranges)
    for path, each in zip(paths, ranges, strict=True):
        try:
            yield from_dict(_Part, parsed_json(content[each].decode(), path.name), path.name)
        except ValueError as error:
            raise damaged(path, str(error)) from error


@functools.cache
def _open(directory: str, memory: int) -> TokenCache:
    place = epath.Path(directory)
    index = stored(_Index, place / META)
    size = np.dtype(index.dtype).itemsize
    spans: dict[Side, list[Span]] = {"train": [], "held_out": []}
    for name, (train, held_out) in index.parts.items():
        path = os.fspath(place / index.folder / name)
        spans["train"].append(Span(path, _HEADER_BYTES, train))
        spans["held_out"].append(Span(path, _HEADER_BYTES + train * size, held_out))
    return TokenCache(
        StreamedTokens(spans["train"], index.dtype, memory),
        StreamedTokens(spans["held_out"], index.dtype, memory),
        index.vocab_size,
        index.held_out_bytes,
        place.name,
        index.round_trip,
    )
