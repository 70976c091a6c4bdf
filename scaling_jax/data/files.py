"""Corpora from files, local or in a bucket: plain text and JSON lines."""

import glob
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from etils import epath

from scaling_jax.config.strict import parsed_json
from scaling_jax.data.corpus import Corpus, split_options
from scaling_jax.errors import InputError
from scaling_jax.system.buckets import check_scheme, in_bucket
from scaling_jax.system.files import as_path

_BLOCK = 2**20
_JSON_LINES = ("*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json.gz", "*.json.zst")


def load_text(pattern: str) -> Corpus:
    """Documents of a text file, a directory of `*.txt` files, or a glob.

    Blank lines separate documents, so that the held-out text comes from all parts of a long file.

    Raises:
        InputError: no file matches, all files are empty, or a file cannot be read.
    """
    paths = _paths(pattern, ("*.txt",))
    return Corpus(f"text:{pattern}", _fingerprint(paths), lambda: _paragraphs(paths))


def load_jsonl(argument: str) -> Corpus:
    """Documents of JSON-lines files (also `.gz` and `.zst`): a file, a directory or a glob.

    `?field=NAME` names the field that holds the text (default `text`).

    Raises:
        InputError: no file matches, all files are empty, or a file cannot be read. While the
            documents are read: a line without the field.
    """
    pattern, options = split_options(argument, {"field": "text"})
    paths = _paths(pattern, _JSON_LINES)
    key = f"{_fingerprint(paths)}-{options['field']}"
    return Corpus(f"jsonl:{argument}", key, lambda: _json_field(paths, options["field"]))


def _paths(pattern: str, inside: tuple[str, ...]) -> list[epath.Path]:
    found = _in_bucket(pattern, inside) if in_bucket(pattern) else _local(pattern, inside)
    if not found:
        raise InputError(f"no file matches {pattern!r}: give a file, a directory or a glob")
    if not any(map(_size, found)):
        raise InputError(f"every file that matches {pattern!r} is empty: give one with text")
    return found


def _size(path: epath.Path) -> int:
    # `epath` looks up the owner of a local file, who need not be known on this machine.
    return path.stat().length if in_bucket(path) else os.path.getsize(path)  # noqa: PTH202


def _in_bucket(pattern: str, inside: tuple[str, ...]) -> list[epath.Path]:
    check_scheme(pattern)
    import fsspec

    files, root = fsspec.core.url_to_fs(pattern)
    scheme = pattern.partition("://")[0]
    try:
        if any(character in root for character in "*?["):
            names = [name for name in files.glob(root) if files.isfile(name)]
        elif files.isfile(root):
            names = [root]
        else:
            names = [
                name
                for name in files.find(root)
                if any(PurePosixPath(name).match(glob_) for glob_ in inside)
            ]
    except FileNotFoundError:
        return []
    return [as_path(f"{scheme}://{name}") for name in sorted(names)]


def _local(pattern: str, inside: tuple[str, ...]) -> list[epath.Path]:
    root = Path(pattern).expanduser()
    if root.is_file():
        found = [root]  # even if its name contains characters of a glob
    elif root.is_dir():
        found = sorted(path for glob_ in inside for path in root.rglob(glob_) if path.is_file())
    else:
        matches = sorted(glob.glob(str(root), recursive=True))  # noqa: PTH207 - absolute patterns
        found = [Path(path) for path in matches if Path(path).is_file()]
    return [epath.Path(path) for path in found]


def _fingerprint(paths: list[epath.Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                digest.update(_sha256(file))
        except OSError as error:
            problem = error.strerror or error
            raise InputError(f"cannot read {path} ({problem}): check the file") from error
    return digest.hexdigest()


def _sha256(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.digest()


def _paragraphs(paths: list[epath.Path]) -> Iterator[str]:
    for path in paths:
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


def _json_field(paths: list[epath.Path], field: str) -> Iterator[str]:
    for path in paths:
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
