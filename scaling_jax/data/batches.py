"""Batches as a pure function of (seed, step), so that checkpoints need no state of the data."""

import numpy as np

from scaling_jax.data.permutation import permute
from scaling_jax.data.streamed import StreamedTokens, windows_of
from scaling_jax.data.token_cache import TokenCache
from scaling_jax.errors import InputError

# Windows whose places are computed at a time.
_CHUNK = 2**20

# Text in a bucket is read this many calls ahead.
_CALLS_AHEAD = 4


class Batches:
    """Training batches of windows of a token stream, drawn without replacement in each epoch.

    Window i is `tokens[i T : i T + T + 1]`: T inputs and the T targets that follow them. The last
    target of a window is the first input of the next one, and no token is a target twice within
    an epoch. (seed, epoch) determines the order of the windows.

    With a limit of unique tokens, every epoch takes the windows that come first in the first
    epoch's order without a limit. So the first epoch is that of a run without a limit, and a
    smaller limit is a part of a larger one.

    Args:
        tokens: the training text. What is in a bucket is read ahead of the steps.
        seq_len: T.
        batch_size: sequences of a step.
        seed: of the orders.
        repeat: whether the text may be read more than once.
        unique_tokens: number of distinct targets to train on, rounded down to whole windows, for as
            many epochs as it takes; None for the whole text.
        start: number of windows of the order that the first step leaves out.
        epoch_batch: the windows of an epoch that fill no whole batch of this size are left out of
            it; by default `batch_size`.

    Raises:
        InputError: fewer tokens than one batch, or a limit above the number of tokens.
    """

    def __init__(
        self,
        tokens: np.ndarray | StreamedTokens,
        seq_len: int,
        batch_size: int,
        seed: int,
        repeat: bool = False,
        unique_tokens: int | None = None,
        *,
        start: int = 0,
        epoch_batch: int | None = None,
    ) -> None:
        self._tokens, self._seq_len, self._batch_size = tokens, seq_len, batch_size
        self._seed, self._repeat = seed, repeat or unique_tokens is not None
        self._n_there = self._n_windows = max(0, (len(tokens) - 1) // seq_len)
        if unique_tokens is not None:
            self._n_windows = unique_tokens // seq_len
            if self._n_windows > self._n_there:
                raise InputError(
                    f"unique_tokens {unique_tokens:,} is more than the {self._n_there * seq_len:,} "
                    "tokens of the training text: lower it, or use a larger corpus"
                )
            if self.steps_per_epoch == 0:
                raise InputError(
                    f"unique_tokens {unique_tokens:,} is less than one batch of {batch_size} "
                    f"sequences of {seq_len}: raise it, or use a smaller batch"
                )
        if self.steps_per_epoch == 0:
            raise InputError(
                f"the training text has {len(tokens)} tokens, too few for one batch of "
                f"{batch_size} sequences of {seq_len}: use a longer text or a smaller batch"
            )
        self._start, each = start, epoch_batch or batch_size
        self._n_read = self._n_windows // each * each
        self._ahead_to = 0

    @property
    def steps_per_epoch(self) -> int:
        """Number of whole batches in one epoch."""
        return self._n_windows // self._batch_size

    @property
    def text_tokens(self) -> int:
        """Number of distinct target tokens that there are to read, however many steps do."""
        return self._n_windows * self._seq_len

    def unique_tokens(self, steps: int) -> int:
        """Number of distinct target tokens in the first `steps` steps.

        An epoch leaves out the windows that fill no whole batch, others in every epoch.
        """
        end = self._start + steps * self._batch_size
        if self._start and end > self._n_read:
            return len(np.unique(self._read(np.arange(self._start, end)))) * self._seq_len
        epochs, within = divmod(steps, self.steps_per_epoch)
        if epochs == 0 or self._start:
            return steps * self._batch_size * self._seq_len
        n_read = self._n_read
        unread = self._windows(np.arange(n_read, self._n_windows), 0)
        for epoch in range(1, epochs):
            if not len(unread):
                break
            left_out = self._windows(np.arange(n_read, self._n_windows), epoch)
            unread = np.intersect1d(unread, left_out, assume_unique=True)
        for first in range(0, within * self._batch_size if len(unread) else 0, _CHUNK):
            places = np.arange(first, min(first + _CHUNK, within * self._batch_size))
            unread = np.setdiff1d(unread, self._windows(places, epochs), assume_unique=True)
        return (self._n_windows - len(unread)) * self._seq_len

    def _read(self, positions: np.ndarray) -> np.ndarray:
        """The windows at these ascending positions of the order, through all epochs."""
        epochs, places = np.divmod(positions, self._n_read)
        windows = np.empty_like(positions)
        for epoch in range(int(epochs.flat[0]), int(epochs.flat[-1]) + 1):
            here = epochs == epoch
            windows[here] = self._windows(places[here], epoch)
        return windows

    def _windows(self, places: np.ndarray, epoch: int) -> np.ndarray:
        """The windows at these places of an epoch's order."""
        if self._n_windows == self._n_there:
            return permute(places, self._n_there, (self._seed, epoch))
        if epoch:
            places = permute(places, self._n_windows, (self._seed, epoch))
        return permute(places, self._n_there, (self._seed, 0))

    def check_enough(self, steps: int) -> None:
        """Check that the text is long enough for `steps` steps, or that repetition is allowed.

        Raises:
            InputError: it is not; the message gives the number of tokens needed and available.
        """
        n_needed = self._start + steps * self._batch_size
        if n_needed > self._n_read and not self._repeat:
            raise InputError(
                f"the run needs {n_needed * self._seq_len} tokens, but the corpus holds "
                f"{self._n_read * self._seq_len}: use a smaller budget or a larger corpus, or "
                "allow repetition with DataConfig(repeat=True)"
            )

    def batch(self, step: int, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """The batch `tokens_BxT1` of a step (int32, T1 = seq_len + 1), or `rows` of it."""
        return self.batches(step, 1, rows)[0]

    def batches(self, first: int, count: int, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """The batches `tokens_KxBxT1` of `count` steps; faster than `count` calls of `batch`."""
        row_B = np.arange(self._batch_size)[rows]
        text = self._text(self._windows_of(first, count, row_B))
        if isinstance(self._tokens, StreamedTokens):
            self._read_ahead(self._tokens, first + count, count, row_B)
        return text

    def _windows_of(self, first: int, count: int, row_B: np.ndarray) -> np.ndarray:
        """The windows of `count` steps."""
        steps_K = np.arange(first, first + count)
        return self._read(self._start + steps_K[:, None] * self._batch_size + row_B)

    def _read_ahead(
        self, tokens: StreamedTokens, first: int, count: int, row_B: np.ndarray
    ) -> None:
        """Begin to read the text of the steps from `first` on that has not been asked for yet."""
        room = tokens.room(self._seq_len + 1) // len(row_B)
        end = first + min(room, _CALLS_AHEAD * count)
        begin = self._ahead_to if first < self._ahead_to <= end else first
        if begin < end:
            windows = self._windows_of(begin, end - begin, row_B)
            tokens.read_ahead(windows * self._seq_len, self._seq_len + 1)
            self._ahead_to = end

    def after(self, step: int, count: int) -> np.ndarray:
        """The `count` windows `tokens_NxT1` that follow the batches of the first `step` steps.

        They are all of one epoch: those at the beginning of the next one where too few are left.

        Raises:
            InputError: an epoch has fewer windows.
        """
        self.check_measurement(count)
        first = self._start + step * self._batch_size
        epoch, within = divmod(first, self._n_read)
        if within + count > self._n_read:
            first = (epoch + 1) * self._n_read
        return self._text(self._read(np.arange(first, first + count)))

    def check_measurement(self, count: int) -> None:
        """Check that an epoch has `count` windows, so that `after` repeats none.

        Raises:
            InputError: it has fewer.
        """
        if count > self._n_read:
            raise InputError(
                f"noise_scale sequences {count:,} are more than the {self._n_read:,} windows of "
                "the training text: lower them, or use a longer text"
            )

    def _text(self, windows: np.ndarray) -> np.ndarray:
        """The windows as int32 tokens, T + 1 of each on a last axis."""
        return windows_of(self._tokens, windows * self._seq_len, self._seq_len + 1)


def held_out_windows(
    cache: TokenCache, seq_len: int, tokens: int, at_most: bool = False
) -> np.ndarray:
    """Windows `tokens_NxT1` of `tokens` targets or more, evenly spread over the held-out text.

    With `at_most`, a text that has fewer is taken whole. The windows follow from the text,
    `seq_len`, `tokens` and `at_most` alone, so that runs of different batch sizes are measured on
    the same text.

    Raises:
        InputError: the held-out text is too short; with `at_most`, shorter than a window.
    """
    n_windows = (len(cache.held_out) - 1) // seq_len
    n_wanted = -(-tokens // seq_len)
    if at_most:
        n_wanted = max(1, min(n_wanted, n_windows))
        tokens = n_wanted * seq_len
    if n_wanted > n_windows:
        raise InputError(
            f"the held-out text has {len(cache.held_out)} tokens, but eval_tokens {tokens} needs "
            f"{n_wanted * seq_len + 1}: lower eval_tokens or use a longer text"
        )
    windows_N = np.linspace(0, n_windows - 1, n_wanted).round().astype(np.int64)
    return windows_of(cache.held_out, windows_N * seq_len, seq_len + 1)
