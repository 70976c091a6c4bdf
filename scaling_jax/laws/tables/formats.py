"""Files of tables: CSV, JSON, JSON lines and Parquet, plain or compressed."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_jax.errors import InputError
from scaling_jax.laws.tables.csv_text import csv_frame
from scaling_jax.laws.tables.words import LINE

if TYPE_CHECKING:
    import pandas as pd

COMPRESSED = (".gz", ".zst", ".zstd")
# What the interface of a tracker nests in every run's record.
_NESTED = ("config", "summary", "summary_metrics")


def frame_of(path: Path) -> "pd.DataFrame":
    """The table in a file, as it is written there.

    Raises:
        InputError: no such file, another kind of file, or a file that is damaged or of another
            shape than its ending says.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    ending = suffixes[-1] if suffixes else ""
    content = _content(path)
    if ending == ".parquet":
        return _parquet(content, path)
    if ending not in _READERS:
        raise InputError(
            f"{path} ends in {path.suffix!r}: give a table that ends in .csv, .tsv, .json, .jsonl "
            "or .parquet, or in one of these and .gz or .zst"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8 ({error})") from error
    return _READERS[ending](text, str(path))


def _content(path: Path) -> bytes:
    """The bytes of a file, decompressed."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        if suffix in COMPRESSED:
            import pyarrow

            path.stat()
            with pyarrow.input_stream(str(path), compression="zstd") as stream:
                return bytes(stream.read())
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path} is not a file: give a .csv, .json or .parquet table") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {path}: {reason}; give a whole, readable table") from error


def _parquet(content: bytes, path: Path) -> "pd.DataFrame":
    import io

    import pandas as pd

    try:
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a Parquet table: {error}") from error


def _json(text: str, name: str) -> "pd.DataFrame":
    """A list of records, or an object of columns."""
    import pandas as pd

    data = _parsed(text, name)
    if isinstance(data, Mapping) and data and all(isinstance(v, list) for v in data.values()):
        if len({len(column) for column in data.values()}) > 1:
            lengths = ", ".join(f"{key} {len(column)}" for key, column in data.items())
            raise InputError(f"{name}: columns of unequal length ({lengths}): give one value a run")
        return pd.DataFrame({key: _column(cells) for key, cells in data.items()})
    if not isinstance(data, list):
        raise InputError(
            f"{name} holds {_kind(data)}: give a list of records, such as "
            '[{"params": 1e8, "tokens": 2e9, "loss": 3.1}]'
        )
    return _of_records(data, [f"{name}, record {k}" for k in range(len(data))])


def _json_lines(text: str, name: str) -> "pd.DataFrame":
    import pandas as pd

    lines = [(k, line) for k, line in enumerate(text.split("\n"), 1) if line.strip()]
    records = [_parsed(line, f"{name}, line {k}") for k, line in lines]
    frame = _of_records(records, [f"{name}, line {k}" for k, _ in lines])
    return frame.set_index(pd.Index([k for k, _ in lines], name=LINE))


def _of_records(records: list[Any], places: list[str]) -> "pd.DataFrame":
    import pandas as pd

    flat = []
    for record, place in zip(records, places, strict=True):
        if not isinstance(record, Mapping):
            raise InputError(
                f"{place} is {_kind(record)}: give an object for each run, such as "
                '{"params": 1e8, "tokens": 2e9, "loss": 3.1}'
            )
        flat.append(_flattened(record))
    names = dict.fromkeys(name for record in flat for name in record)
    return pd.DataFrame({name: _column([r.get(name) for r in flat]) for name in names})


def _flattened(record: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in record.items() if key not in _NESTED}
    for key in _NESTED:
        inner = record.get(key)
        found |= dict(inner) if isinstance(inner, Mapping) else {key: inner} if inner else {}
    return found


def _column(cells: list[Any]) -> "pd.Series[Any]":
    """The cells as they are: pandas would fail on some mixtures, such as one huge whole number."""
    import pandas as pd

    return pd.Series(cells, dtype=object)


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{name} is nested too deep: give flat records") from error
    except ValueError as error:
        raise InputError(f"{name} is not JSON ({error}): write it again") from error


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "nothing" if value is None else names.get(type(value), "a number")


_READERS: Mapping[str, Callable[[str, str], "pd.DataFrame"]] = {
    ".csv": csv_frame,
    ".tsv": csv_frame,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}


def is_table(path: str) -> bool:
    """Whether a path has the ending of a file that `frame_of` reads."""
    name = path.lower()
    for packed in COMPRESSED:
        name = name.removesuffix(packed)
    return name.endswith((*_READERS, ".parquet"))
