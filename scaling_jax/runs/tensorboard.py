"""TensorBoard events of a run, whose failures never stop training."""

import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from etils import epath

from scaling_jax.system.buckets import in_bucket

_FLUSH_SECONDS = 10.0
# Each flush uploads all events again.
_BUCKET_FLUSH_SECONDS = 60.0


class Events:
    """Writes scalars of a run by step; after an error of the file system it stops writing.

    It writes in the calling thread. tensorboardX's own writer uses a thread, and after that thread
    fails on a full disk, training would wait forever.
    """

    def __init__(self, directory: epath.Path, resume_step: int) -> None:
        with _without_torch():
            from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._directory: epath.Path = directory
        self._writer: Any = None
        self._flushed_at = time.monotonic()
        with self._unhindered():
            self._open()
        # TensorBoard then hides later steps that an earlier process has written.
        start = SessionLog(status=SessionLog.START)
        self._write(Event(step=resume_step + 1, session_log=start))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step, which must be finite."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self._write(Event(step=step, wall_time=time.time(), summary=scalar(name, value)))
        seconds = _BUCKET_FLUSH_SECONDS if in_bucket(self._directory) else _FLUSH_SECONDS
        if time.monotonic() > self._flushed_at + seconds:
            self._flushed_at = time.monotonic()
            self._flush()

    def close(self) -> None:
        """Flush and close the file of events."""
        if self._writer is not None:
            with self._unhindered():
                self._writer.close()
        self._writer = None

    def _open(self) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.record_writer import register_writer_factory

        for scheme in ("gs", "s3"):
            register_writer_factory(scheme, _BucketFiles())
        self._directory.mkdir(parents=True, exist_ok=True)
        prefix = os.fspath(self._directory / "events")
        # TensorBoard reads files in the order of their names. These have a resolution of seconds,
        # so two writers could have the same name.
        suffix = f".{time.time_ns()}.{uuid.uuid4().hex[:12]}"
        self._writer = EventsWriter(prefix, filename_suffix=suffix)
        self._writer.flush()

    def _write(self, event: Any) -> None:
        if self._writer is not None:
            with self._unhindered():
                self._writer.write_event(event)

    def _flush(self) -> None:
        if self._writer is not None:
            with self._unhindered():
                self._writer.flush()

    @contextmanager
    def _unhindered(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # From the file system, or from a cloud's library.
            print(
                f"stopped writing TensorBoard events in {self._directory}: {error}", file=sys.stderr
            )
            self._writer = None


class _BucketFiles:
    """Opens files of events in a bucket for tensorboardX, whose own need each cloud's library."""

    def open(self, path: str) -> "_BucketFile":
        return _BucketFile(epath.Path(path))

    def directory_check(self, path: str) -> None:
        """Nothing: a bucket has no directories."""


class _BucketFile:
    """A file of events that is uploaded whole at every flush."""

    def __init__(self, path: epath.Path) -> None:
        self._path, self._content = path, bytearray()

    def write(self, content: bytes) -> None:
        self._content += content

    def flush(self) -> None:
        self._path.write_bytes(bytes(self._content))

    def close(self) -> None:
        self.flush()


@contextmanager
def _without_torch() -> Iterator[None]:
    # tensorboardX imports PyTorch if it is installed, which takes seconds and is not needed.
    absent = "torch" not in sys.modules
    if absent:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules["torch"]
