"""Corpora from files, local or in a bucket: plain text and JSON lines."""

import glob
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from etils import epath

from scaling_jax.config.strict import parsed_json
from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.data.file_digests import File, fingerprint_of, object_file
from scaling_jax.errors import InputError
from scaling_jax.system.buckets import check_scheme, in_bucket

_JSON_LINES = ("*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json.gz", "*.json.zst")


def load_text(pattern: str, cache_dir: os.PathLike | str | None = None) -> Corpus:
    """Documents of a text file, a directory of `*.txt` files, or a glob.

    Blank lines separate documents, so that the held-out text comes from all parts of a long file.

    Raises:
        InputError: no file matches, all files are empty, or a file cannot be read.
    """
    files = _files(pattern, ("*.txt",))
    key = fingerprint_of(files, cache_dir)
    return _corpus(f"text:{pattern}", key, [partial(_paragraphs, file.path) for file in files])


def load_jsonl(argument: str, cache_dir: os.PathLike | str | None = None) -> Corpus:
    """Documents of JSON-lines files (also `.gz` and `.zst`): a file, a directory or a glob.

    `?field=NAME` names the field that holds the text (default `text`).

    Raises:
        InputError: no file matches, all files are empty, or a file cannot be read. While the
            documents are read: a line without the field.
    """
    pattern, options = split_options(argument, {"field": "text"})
    files = _files(pattern, _JSON_LINES)
    key = f"{fingerprint_of(files, cache_dir)}-{options['field']}"
    pieces = [partial(_json_field, file.path, options["field"]) for file in files]
    return _corpus(f"jsonl:{argument}", key, pieces)


def _corpus(name: str, key: str, pieces: Sequence[Callable[[], Iterator[str]]]) -> Corpus:
    """The corpus of the documents of all files, one after another."""
    return Corpus(
        name, key, lambda: chain.from_iterable(piece() for piece in pieces), pieces=tuple(pieces)
    )


def _files(pattern: str, inside: tuple[str, ...]) -> list[File]:
    found = _in_bucket(pattern, inside) if in_bucket(pattern) else _local(pattern, inside)
    if not found:
        raise InputError(f"no file matches {pattern!r}: give a file, a directory or a glob")
    if not any(file.size for file in found):
        raise InputError(f"every file that matches {pattern!r} is empty: give one with text")
    return found


def _in_bucket(pattern: str, inside: tuple[str, ...]) -> list[File]:
    check_scheme(pattern)
    import fsspec

    files, root = fsspec.core.url_to_fs(pattern)
    scheme = pattern.partition("://")[0]
    try:
        if any(character in root for character in "*?["):
            found = files.glob(root, detail=True)
        elif files.isfile(root):
            found = {root: files.info(root)}
        else:
            found = {
                name: facts
                for name, facts in files.find(root, detail=True).items()
                if any(PurePosixPath(name).match(glob_) for glob_ in inside)
            }
    except FileNotFoundError:
        return []
    return [
        object_file(f"{scheme}://{name}", facts)
        for name, facts in sorted(found.items())
        if facts["type"] == "file"
    ]


def _local(pattern: str, inside: tuple[str, ...]) -> list[File]:
    root = Path(pattern).expanduser()
    if root.is_file():
        found = [root]  # even if its name contains characters of a glob
    elif root.is_dir():
        found = sorted(path for glob_ in inside for path in root.rglob(glob_) if path.is_file())
    else:
        matches = sorted(glob.glob(str(root), recursive=True))  # noqa: PTH207 - absolute patterns
        found = [Path(path) for path in matches if Path(path).is_file()]
    # `epath` looks up the owner of a local file, who need not be known on this machine.
    return [File(epath.Path(path), os.path.getsize(path)) for path in found]  # noqa: PTH202


def _paragraphs(path: epath.Path) -> Iterator[str]:
    # `epath` itself refuses `errors`.
    with io.TextIOWrapper(path.open("rb"), encoding="utf-8", errors="replace") as file:
        lines: list[str] = []
        for line in file:
            if line.strip():
                lines.append(line)
            elif lines:
                yield "".join(lines).strip()
                lines = []
        if lines:
            yield "".join(lines).strip()


def _json_field(path: epath.Path, field: str) -> Iterator[str]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield _field(line, field, f"{path}, line {number}")


def _lines(path: epath.Path) -> Iterator[str]:
    try:
        with io.TextIOWrapper(_opened(path), encoding="utf-8", errors="replace") as file:
            yield from file
    except (OSError, zlib.error, EOFError) as error:
        kind = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
        if kind is None:
            raise
        raise InputError(
            f"{path} is not a whole {kind} file ({error}): download it again"
        ) from error


def _opened(path: epath.Path) -> Any:
    # A path on this machine is opened, and closed, by the library that decompresses it.
    source = path.open("rb") if in_bucket(path) else os.fspath(path)
    if path.suffix == ".zst":
        import pyarrow

        return pyarrow.input_stream(source, compression="zstd")
    if path.suffix == ".gz":
        return gzip.open(source)
    return open(source, "rb") if isinstance(source, str) else source


def _field(line: str, field: str, where: str) -> str:
    try:
        row = parsed_json(line, where)
    except InputError as error:
        raise InputError(f"{error}: repair or remove the line") from error
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        raise InputError(f"{where} has no text in the field {field!r}: name it with ?field=NAME")
    return row[field]
