"""Tokens in a bucket, of which windows are read by byte ranges into a bounded memory."""

import functools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.system.byte_ranges import ByteRanges, Range

# Bytes of a block. In text that does not fit into the memory, most are read for one window.
_BLOCK = 2**14
_LARGE_BLOCK = 2**22

# Shares of the memory: for tokens and blocks that are kept, blocks on their way among them; for
# blocks on their way; and for what a call asks for at once. What arrives is in the memory twice.
_KEPT, _AHEAD, _AT_ONCE = 0.75, 0.125, 0.0625


@dataclass(frozen=True)
class Span:
    """Tokens that lie one after another in a file: its path, the first byte and their number."""

    path: str
    begin: int
    n_tokens: int


class StreamedTokens:
    """A sequence of tokens in several files of a bucket, read once windows of it are asked for.

    A sequence that fits into the memory is then read whole.

    Args:
        spans: the places of the tokens, in order.
        dtype: of a token in the files, little-endian.
        memory: bytes that all sequences of a process keep in memory together.
    """

    def __init__(self, spans: Sequence[Span], dtype: str, memory: int) -> None:
        self._spans = [span for span in spans if span.n_tokens]
        self._firsts = np.cumsum([0, *(span.n_tokens for span in self._spans)])
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._memory, self._ranges = memory, byte_ranges(memory)
        self._block = _BLOCK // self._dtype.itemsize
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._firsts[-1])

    @property
    def dtype(self) -> np.dtype:
        """The type of a token."""
        return self._dtype

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """`length` tokens from each of `starts`, on a last axis.

        Raises:
            InputError: a file is missing or shorter than it was.
            OSError: the bucket does not answer.
        """
        with self._lock:
            whole = self._whole
        if whole is not None:
            return whole[np.asarray(starts)[..., None] + np.arange(length)]
        flat = np.asarray(starts, np.int64).ravel()
        windows_NxL = np.empty((len(flat), length), self._dtype)
        n = max(1, self.room(length))
        for first in range(0, len(flat), n):
            self._fill(windows_NxL[first : first + n], flat[first : first + n])
        return windows_NxL.reshape(*np.shape(starts), length)

    def read_ahead(self, starts: np.ndarray, length: int) -> None:
        """Begin to read the windows at `starts` in the background."""
        with self._lock:
            if self._whole is not None:
                return
        pieces = self._pieces(np.asarray(starts, np.int64).ravel(), length)
        self._ranges.read_ahead(dict.fromkeys(self._range(*piece[2:4]) for piece in pieces))

    def room(self, length: int) -> int:
        """How many windows of `length` fit in the memory that one call may take."""
        n_blocks = -(-length // self._block) + 1
        return int(_AT_ONCE * self._memory) // (n_blocks * self._block * self._dtype.itemsize)

    @functools.cached_property
    def _whole(self) -> np.ndarray | None:
        """All tokens; None if they do not fit into the memory."""
        size = self._dtype.itemsize
        if not self._ranges.reserve(len(self) * size):
            return None
        try:
            return self._read_whole()
        except BaseException:
            self._ranges.reserve(-len(self) * size)
            raise

    def _read_whole(self) -> np.ndarray:
        size = self._dtype.itemsize
        whole, at = np.empty(len(self), self._dtype), 0
        large = _LARGE_BLOCK // size
        pieces = [
            (span, first, min(large, span.n_tokens - first))
            for span in self._spans
            for first in range(0, span.n_tokens, large)
        ]
        n = max(1, int(_AT_ONCE * self._memory) // _LARGE_BLOCK)
        for i in range(0, len(pieces), n):
            ranges = [
                Range(span.path, span.begin + first * size, span.begin + (first + count) * size)
                for span, first, count in pieces[i : i + n]
            ]
            for data in self._ranges.read_once(ranges):
                tokens = np.frombuffer(data, self._dtype)
                whole[at : at + len(tokens)] = tokens
                at += len(tokens)
        return whole

    def _fill(self, windows_NxL: np.ndarray, starts: np.ndarray) -> None:
        pieces = list(self._pieces(starts, windows_NxL.shape[1]))
        needed = [self._range(span, block) for _, _, span, block, _, _ in pieces]
        found = self._ranges.read(dict.fromkeys(needed))
        for (row, column, _, _, within, n), each in zip(pieces, needed, strict=True):
            tokens = np.frombuffer(found[each], self._dtype)
            windows_NxL[row, column : column + n] = tokens[within : within + n]

    def _pieces(
        self, starts: np.ndarray, length: int
    ) -> Iterator[tuple[int, int, int, int, int, int]]:
        """Where each part of the windows comes from.

        These are its row and column in the windows; the span, the block in the span and the first
        token in the block; and the number of tokens.
        """
        spans = np.searchsorted(self._firsts, starts, "right") - 1
        for row, (start, span) in enumerate(zip(starts.tolist(), spans.tolist(), strict=True)):
            column = 0
            while column < length:
                at = start + column - int(self._firsts[span])
                block, within = divmod(at, self._block)
                n = min(length - column, self._block - within, self._spans[span].n_tokens - at)
                yield row, column, span, block, within, n
                column += n
                span += at + n == self._spans[span].n_tokens

    def _range(self, span: int, block: int) -> Range:
        place, size = self._spans[span], self._dtype.itemsize
        first = block * self._block
        end = min(first + self._block, place.n_tokens)
        return Range(place.path, place.begin + first * size, place.begin + end * size)


@functools.cache
def byte_ranges(memory: int) -> ByteRanges:
    """The one store of blocks of this process with so much memory."""
    return ByteRanges(int(_KEPT * memory), int(_AHEAD * memory))


def windows_of(tokens: np.ndarray | StreamedTokens, starts: np.ndarray, length: int) -> np.ndarray:
    """`length` tokens from each of `starts`, as int32 on a last axis."""
    if isinstance(tokens, StreamedTokens):
        return tokens.windows(starts, length).astype(np.int32)
    return tokens[starts[..., None] + np.arange(length)].astype(np.int32)
