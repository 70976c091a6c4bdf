"""The loss curve of a run: `metrics.jsonl`, with a JSON line for each step."""

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath

from scaling_jax.runs.curve import row_in
from scaling_jax.runs.tensorboard import Events
from scaling_jax.system.agreement import is_first
from scaling_jax.system.files import in_bucket, retried, write_text_atomically

METRICS_FILE = "metrics.jsonl"

# The loss curve on disk lags behind the run by at most about this time.
FLUSH_SECONDS = 10.0


def read_metrics(directory: epath.Path) -> list[dict[str, Any]]:
    """Rows of the run's loss curve in step order, up to the first damaged line."""
    try:
        content = retried((directory / METRICS_FILE).read_bytes)
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
    """Start the loss curve of the run in `target` with the first `steps` steps of `source`.

    Raises:
        OSError: the curve cannot be written.
    """
    rows = [row for row in read_metrics(source) if row["step"] <= steps]
    write_text_atomically(target / METRICS_FILE, _joined([json.dumps(row) for row in rows]))


class MetricsLog:
    """Appends rows to `metrics.jsonl`, and passes them to TensorBoard.

    The loop calls `flush` before every checkpoint, so that no checkpoint is ahead of the curve.
    """

    def __init__(self, directory: epath.Path, resume_step: int, events: Events) -> None:
        self._path = directory / METRICS_FILE
        self._events = events
        # Steps after the checkpoint are trained again, and each step must be in the file once.
        kept = [row for row in read_metrics(directory) if row["step"] <= resume_step]
        self._lines = [json.dumps(row) for row in kept]
        text = _joined(self._lines)
        write_text_atomically(self._path, text)
        self._size = len(text.encode())
        self._unwritten: list[str] = []
        self._flushed_at = time.monotonic()

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Add one row for each step; the last row is also written to TensorBoard."""
        self._unwritten += [json.dumps(_finite(row)) for row in rows]
        last = dict(rows[-1])
        step = last.pop("step")
        finite = {k: v for k, v in last.items() if v is not None and math.isfinite(v)}
        self._events.add(step, finite)
        # Those who watch a run see its curve before the next checkpoint. A bucket is written only
        # at checkpoints, because every write replaces the whole file.
        if not in_bucket(self._path) and time.monotonic() > self._flushed_at + FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write every row to disk; in a bucket, which cannot append, replace the whole file.

        Raises:
            OSError: the file cannot be written.
        """
        self._flushed_at = time.monotonic()
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


class NoMetrics(MetricsLog):
    """A log that discards all rows, for processes other than the first."""

    def __init__(self) -> None:
        pass

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Discard `rows`."""

    def flush(self) -> None:
        """Do nothing."""


@contextmanager
def open_metrics(directory: epath.Path, resume_step: int) -> Iterator[MetricsLog]:
    """The metrics of a run that continues after `resume_step` (0 for a new one)."""
    if not is_first():
        yield NoMetrics()
        return
    events = Events(directory / "tensorboard", resume_step)
    log = MetricsLog(directory, resume_step, events)
    try:
        yield log
    finally:
        events.close()
        log.close()


def _joined(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    # JSON has no NaN or infinity, so both are stored as null.
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
