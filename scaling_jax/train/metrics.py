"""The loss curve of a run: one JSON line per step, and TensorBoard events."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath

from scaling_jax.train.distributed import is_first

METRICS_FILE = "metrics.jsonl"


def read_metrics(directory: epath.Path) -> list[dict[str, Any]]:
    """Rows of the run's loss curve in step order; a line cut short by a kill is left out."""
    path = directory / METRICS_FILE
    if not path.exists():
        return []
    text = path.read_text()
    complete = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in complete.splitlines()]


class MetricsLog:
    """Appends rows to `metrics.jsonl`; `flush` makes them durable before a checkpoint is taken."""

    def __init__(self, directory: epath.Path, resume_step: int, writer: Any) -> None:
        self._path = directory / METRICS_FILE
        self._writer = writer
        # Steps after the checkpoint will be trained again: each must be in the file once.
        kept = [row for row in read_metrics(directory) if row["step"] <= resume_step]
        self._lines = [json.dumps(row) for row in kept]
        self._path.write_text("".join(line + "\n" for line in self._lines))
        self._unwritten: list[str] = []

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Record one row per step; the last one also goes to TensorBoard."""
        self._unwritten += [json.dumps(_finite(row)) for row in rows]
        for name, value in rows[-1].items():
            if name != "step" and value is not None and math.isfinite(value):
                self._writer.add_scalar(name, value, rows[-1]["step"])

    def flush(self) -> None:
        """Put every row on disk (or in the bucket, which cannot append and is rewritten)."""
        text = "".join(line + "\n" for line in self._unwritten)
        self._lines += self._unwritten
        self._unwritten = []
        if "://" in os.fspath(self._path):
            self._path.write_text("".join(line + "\n" for line in self._lines))
            return
        with open(self._path, "a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


class NoMetrics(MetricsLog):
    """What a process keeps whose metrics another one writes: nothing."""

    def __init__(self) -> None:
        pass

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Forget `rows`."""

    def flush(self) -> None:
        """Do nothing."""


@contextmanager
def open_metrics(directory: epath.Path, resume_step: int) -> Iterator[MetricsLog]:
    """The metrics of a run that continues after `resume_step` (0 for a new one)."""
    if not is_first():
        yield NoMetrics()
        return
    from tensorboardX import SummaryWriter

    events = os.fspath(directory / "tensorboard")
    with SummaryWriter(events, purge_step=resume_step + 1, flush_secs=10) as writer:
        log = MetricsLog(directory, resume_step, writer)
        try:
            yield log
        finally:
            log.flush()


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what is not finite becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
