"""Byte ranges of files in buckets: read many at a time, and kept in a bounded memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from scaling_jax.errors import InputError
from scaling_jax.system.files import WAITS

# Ranges beside each other are one request up to this many bytes.
_LARGEST_REQUEST = 2**23
_THREADS = 2


class Range(NamedTuple):
    """The bytes of a file from `begin` up to but not including `end`."""

    path: str
    begin: int
    end: int


class ByteRanges:
    """Ranges of files that do not change, of which those used last stay in memory.

    Args:
        limit: most bytes that are kept or on their way in the background.
        ahead: most bytes that are on their way.

    Attributes:
        bytes_read: bytes read so far.
        requests: requests so far.
    """

    def __init__(self, limit: int, ahead: int) -> None:
        self._limit, self._ahead = limit, ahead
        self._lock = threading.Lock()
        self._kept: OrderedDict[Range, bytes] = OrderedDict()
        self._size = self._on_their_way = self._reserved = 0
        self._coming: dict[Range, Future[dict[Range, bytes]]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "byte ranges")
        self.bytes_read = self.requests = 0

    def reserve(self, n_bytes: int) -> bool:
        """Whether the caller may keep so many bytes for good, of the limit; at most two thirds."""
        with self._lock:
            if 3 * (self._reserved + n_bytes) > 2 * self._limit:
                return False
            self._reserved += n_bytes
            self._drop()
            return True

    def read_once(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of ranges, which are not kept.

        Raises:
            InputError, OSError: as `read`.
        """
        content = requested(ranges)
        with self._lock:
            self.requests += len(content)
            self.bytes_read += sum(map(len, content.values()))
        return [content[each] for each in ranges]

    def read(self, ranges: Iterable[Range]) -> dict[Range, bytes]:
        """The bytes of different ranges.

        Raises:
            InputError: a file is missing or shorter than it was.
            OSError: a file cannot be read, after retries.
        """
        ranges = list(ranges)
        with self._lock:
            found = {each: self._used(each) for each in ranges if each in self._kept}
            coming = {each: self._coming[each] for each in ranges if each in self._coming}
        missing = [each for each in ranges if each not in found and each not in coming]
        found |= self._fetched(missing)
        for each, future in coming.items():
            if each not in found:
                found |= future.result()
        return {each: found[each] for each in ranges}

    def read_ahead(self, ranges: Iterable[Range]) -> None:
        """Begin to read ranges in the background, as many as there is room for."""
        with self._lock:
            new = []
            for each in ranges:
                n_bytes = each.end - each.begin
                if self._on_their_way + n_bytes > self._ahead:
                    break
                if each not in self._kept and each not in self._coming:
                    self._on_their_way += n_bytes
                    new.append(each)
            if new:
                future = self._threads.submit(self._arrived, new)
                self._coming |= dict.fromkeys(new, future)

    def _arrived(self, ranges: Sequence[Range]) -> dict[Range, bytes]:
        try:
            return self._fetched(ranges)
        finally:
            with self._lock:
                for each in ranges:
                    self._on_their_way -= each.end - each.begin
                    self._coming.pop(each, None)

    def _fetched(self, ranges: Sequence[Range]) -> dict[Range, bytes]:
        """The bytes of ranges that are not kept yet; they are from now on."""
        if not ranges:
            return {}
        joined = _joined(ranges)
        content = requested(list(joined))
        found = {
            part: content[whole][part.begin - whole.begin : part.end - whole.begin]
            for whole, parts in joined.items()
            for part in parts
        }
        with self._lock:
            self.requests += len(content)
            self.bytes_read += sum(map(len, content.values()))
            for each, data in found.items():
                self._keep(each, data)
        return found

    def _used(self, each: Range) -> bytes:
        self._kept.move_to_end(each)
        return self._kept[each]

    def _keep(self, each: Range, data: bytes) -> None:
        if each not in self._kept:
            self._kept[each] = data
            self._size += len(data)
        self._drop()

    def _drop(self) -> None:
        while self._kept and self._size + self._on_their_way > self._limit - self._reserved:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped)


def _joined(ranges: Sequence[Range]) -> dict[Range, list[Range]]:
    """Requests for ranges, and the ranges that each of the requests covers."""
    groups: list[list[Range]] = []
    for each in sorted(ranges):
        last = groups[-1] if groups else None
        if (
            last
            and (last[-1].path, last[-1].end) == (each.path, each.begin)
            and each.end - last[0].begin <= _LARGEST_REQUEST
        ):
            last.append(each)
        else:
            groups.append([each])
    return {Range(g[0].path, g[0].begin, g[-1].end): g for g in groups}


def requested(ranges: Sequence[Range]) -> Mapping[Range, bytes]:
    """The bytes of ranges, all requested at once; those that fail are requested again.

    Raises:
        InputError: a file is missing or shorter than it was.
        OSError: a file cannot be read, after retries.
    """
    import fsspec

    files, _ = fsspec.core.url_to_fs(ranges[0].path)
    content = dict[Range, bytes]()
    left = list(ranges)
    for wait in (*WAITS, None):
        answers = files.cat_ranges(
            [each.path for each in left],
            [each.begin for each in left],
            [each.end for each in left],
            on_error="return",
        )
        failed = dict[Range, Exception]()
        for each, answer in zip(left, answers, strict=True):
            if isinstance(answer, FileNotFoundError):
                raise _damaged(each, "it is missing") from answer
            if isinstance(answer, Exception):
                failed[each] = answer
            elif len(answer) != each.end - each.begin:
                raise _damaged(each, f"it ends before byte {each.end:,}")
            else:
                content[each] = answer
        if not failed:
            return content
        left = list(failed)
        if wait is not None:
            time.sleep(wait)
    error = failed[left[0]]
    raise OSError(f"cannot read {left[0].path}: {type(error).__name__}: {error}") from error


def _damaged(each: Range, problem: str) -> InputError:
    folder = each.path.rpartition("/")[0].rpartition("/")[0]
    return InputError(
        f"{each.path} is damaged ({problem}): delete {folder}, and the text is tokenized again"
    )
