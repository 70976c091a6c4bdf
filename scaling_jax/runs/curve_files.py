"""The files of a run's curves, with a JSON line for each row, in which rows are read and appended.

The loss of each step is in `metrics.jsonl`, held-out losses are in `evaluations.jsonl`, and
measurements of the gradient noise in `noise_scale.jsonl`.
"""

import json
import math
import os
from typing import Any

from etils import epath

from scaling_jax.runs.curve import row_in
from scaling_jax.runs.held_out import EVALUATIONS_FILE
from scaling_jax.runs.noise_scale import NOISE_FILE
from scaling_jax.system.buckets import in_bucket
from scaling_jax.system.files import retried, write_text_atomically

METRICS_FILE = "metrics.jsonl"


def read_metrics(directory: epath.Path) -> list[dict[str, Any]]:
    """Rows of the run's loss curve in step order, up to the first damaged line."""
    return rows_in(directory / METRICS_FILE)


def read_evaluations(directory: epath.Path) -> list[dict[str, Any]]:
    """Rows of the run's held-out curve in step order, up to the first damaged line."""
    return rows_in(directory / EVALUATIONS_FILE)


def read_noise(directory: epath.Path) -> list[dict[str, Any]]:
    """Rows of the run's gradient noise in step order, up to the first damaged line."""
    return rows_in(directory / NOISE_FILE)


def rows_in(path: epath.Path) -> list[dict[str, Any]]:
    """Rows of a file, up to the first damaged line; none where there is no file."""
    try:
        content = retried(path.read_bytes)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []
    rows = []
    for line in content.split(b"\n")[:-1]:
        if (row := row_in(line)) is None:
            break
        rows.append(row)
    return rows


def steps_without_gap(directory: epath.Path) -> int:
    """The last step before the first gap in the run's loss curve; 0 without a curve."""
    n = 0
    for row in read_metrics(directory):
        if row["step"] != n + 1:
            break
        n += 1
    return n


def copy_metrics(source: epath.Path, target: epath.Path, steps: int) -> None:
    """Start the curves of the run in `target` with the first `steps` steps of `source`.

    Raises:
        OSError: a curve cannot be written.
    """
    for name in (METRICS_FILE, EVALUATIONS_FILE, NOISE_FILE):
        rows = [row for row in rows_in(source / name) if row["step"] <= steps]
        if rows:
            write_text_atomically(target / name, _joined([json.dumps(row) for row in rows]))


class Lines:
    """A file with a JSON line for each row, to which rows are appended."""

    def __init__(self, path: epath.Path, rows: list[dict[str, Any]]) -> None:
        self._path = path
        self._lines = [json.dumps(row) for row in rows]
        text = _joined(self._lines)
        write_text_atomically(self._path, text)
        self._size = len(text.encode())
        self._unwritten: list[str] = []

    @property
    def in_bucket(self) -> bool:
        """Whether the file is in a bucket."""
        return in_bucket(self._path)

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Add rows, which `flush` writes."""
        self._unwritten += [json.dumps(_finite(row)) for row in rows]

    def flush(self) -> None:
        """Write every row to disk.

        Raises:
            OSError: the file cannot be written.
        """
        # A bucket cannot append, so the whole file is replaced there.
        lines = self._lines + self._unwritten
        if in_bucket(self._path):
            write_text_atomically(self._path, _joined(lines))
        else:
            added = _joined(self._unwritten).encode()
            retried(lambda: self._write(added))
            self._size += len(added)
        self._lines, self._unwritten = lines, []

    def close(self) -> None:
        """Write every row to disk, and replace the file if another process has changed it.

        Raises:
            OSError: the file cannot be written.
        """
        self.flush()
        text = _joined(self._lines)
        if retried(self._path.read_bytes) != text.encode():
            write_text_atomically(self._path, text)

    def _write(self, added: bytes) -> None:
        # Written at a known offset, so that a retry overwrites what a failed write left.
        with open(self._path, "r+b") as file:
            file.seek(self._size)
            file.write(added)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())


def _joined(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    # JSON has no NaN or infinity, so both are stored as null.
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
