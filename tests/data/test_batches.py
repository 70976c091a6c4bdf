from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax.data import Batches, TokenCache, held_out_windows, prepare
from scaling_jax.data.round_trip import RoundTrip
from scaling_jax.errors import InputError

SEQ_LEN = 5


def counting(n_windows: int, seq_len: int = SEQ_LEN) -> np.ndarray:
    """A text of `n_windows` windows in which every token is its own position."""
    return np.arange(n_windows * seq_len + 1, dtype=np.uint16)


def windows_of(batch: np.ndarray) -> list[int]:
    return (batch[:, 0] // (batch.shape[1] - 1)).tolist()


def test_a_window_holds_inputs_and_the_targets_after_them() -> None:
    tokens = np.random.default_rng(0).integers(0, 60_000, 101).astype(np.uint16)
    batch = Batches(tokens, 10, 10, seed=0).batch(0)
    assert batch.shape == (10, 11)
    assert batch.dtype == np.int32
    expected = {tuple(tokens[10 * i : 10 * i + 11].tolist()) for i in range(10)}
    assert {tuple(row) for row in batch.tolist()} == expected


@given(st.integers(0, 500), st.integers(0, 99))
@settings(deadline=None)
def test_a_step_has_the_same_batch_whenever_it_is_asked_for(step: int, seed: int) -> None:
    tokens = counting(23)
    fresh = Batches(tokens, SEQ_LEN, 4, seed)
    used = Batches(tokens, SEQ_LEN, 4, seed)
    for earlier in range(7):
        used.batch(earlier)
    np.testing.assert_array_equal(fresh.batch(step), used.batch(step))


@given(st.integers(0, 30), st.integers(1, 4))
@settings(deadline=None)
def test_the_processes_rows_together_are_the_batch(step: int, n_processes: int) -> None:
    batches = Batches(counting(40), SEQ_LEN, 12, seed=3)
    per_process = 12 // n_processes
    rows = [slice(i * per_process, (i + 1) * per_process) for i in range(n_processes)]
    pieces = [batches.batch(step, piece) for piece in rows]
    np.testing.assert_array_equal(np.concatenate(pieces), batches.batch(step))


@given(st.integers(0, 60), st.integers(5, 60), st.integers(1, 5), st.integers(0, 9))
@settings(deadline=None)
def test_unique_tokens_are_those_that_the_steps_hold(
    steps: int, n_windows: int, batch_size: int, seed: int
) -> None:
    batches = Batches(counting(n_windows), SEQ_LEN, batch_size, seed, repeat=True)
    targets = {int(token) for step in range(steps) for token in batches.batch(step)[:, 1:].ravel()}
    assert batches.unique_tokens(steps) == len(targets)


def test_a_second_epoch_reads_what_the_first_left_out() -> None:
    # Batches of 9 leave 4 of 13 windows out of each epoch, others each time.
    batches = Batches(counting(13), SEQ_LEN, 9, seed=0, repeat=True)
    assert [batches.unique_tokens(steps) / SEQ_LEN for steps in (1, 8)] == [9, 13]


@given(st.integers(0, 5), st.integers(10, 40), st.integers(2, 5), st.integers(0, 60))
@settings(deadline=None)
def test_a_limit_repeats_the_windows_that_come_first(
    seed: int, n_unique: int, batch_size: int, steps: int
) -> None:
    whole = Batches(counting(60), SEQ_LEN, batch_size, seed)
    limit = n_unique * SEQ_LEN + SEQ_LEN - 1
    batches = Batches(counting(60), SEQ_LEN, batch_size, seed, unique_tokens=limit)
    batches.check_enough(10**6)
    first_epoch = n_unique // batch_size
    for step in range(first_epoch):
        np.testing.assert_array_equal(batches.batch(step), whole.batch(step))
    order = [w for step in range(60 // batch_size) for w in windows_of(whole.batch(step))]
    allowed = set(range(60)) if n_unique > len(order) else set(order[:n_unique])
    read = [w for step in range(steps) for w in windows_of(batches.batch(step))]
    assert set(read) <= allowed
    assert batches.unique_tokens(steps) == len(set(read)) * SEQ_LEN


def test_epochs_of_a_limited_text_have_different_orders() -> None:
    batches = Batches(counting(60), SEQ_LEN, 12, seed=0, unique_tokens=12 * SEQ_LEN)
    epochs = [windows_of(batches.batch(step)) for step in range(3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2])
    assert epochs[0] != epochs[1] != epochs[2]


def test_limits_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(InputError, match=r"unique_tokens 306 is more than the 300 tokens"):
        Batches(counting(60), SEQ_LEN, 4, seed=0, unique_tokens=306)
    with pytest.raises(InputError, match=r"unique_tokens 19 is less than one batch of 4"):
        Batches(counting(60), SEQ_LEN, 4, seed=0, unique_tokens=19)


@given(st.integers(0, 30), st.integers(1, 20))
@settings(deadline=None)
def test_several_steps_at_once_are_those_steps(first: int, count: int) -> None:
    batches = Batches(counting(23), SEQ_LEN, 4, seed=1)  # five steps to an epoch
    rows = slice(1, 3)
    one_by_one = np.stack([batches.batch(step, rows) for step in range(first, first + count)])
    np.testing.assert_array_equal(batches.batches(first, count, rows), one_by_one)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 5), st.integers(0, 3))
@settings(deadline=None)
def test_no_window_comes_twice_in_an_epoch(
    n_windows: int, batch_size: int, seed: int, epoch: int
) -> None:
    n_windows = max(n_windows, batch_size)
    batches = Batches(counting(n_windows), SEQ_LEN, batch_size, seed)
    steps = batches.steps_per_epoch
    assert steps == n_windows // batch_size
    windows = [
        w for s in range(epoch * steps, (epoch + 1) * steps) for w in windows_of(batches.batch(s))
    ]
    assert len(windows) == len(set(windows)) == steps * batch_size
    assert set(windows) <= set(range(n_windows))


def test_every_epoch_is_shuffled_anew() -> None:
    batches = Batches(counting(60), SEQ_LEN, 6, seed=0)
    orders = [
        [w for step in range(10 * epoch, 10 * epoch + 10) for w in windows_of(batches.batch(step))]
        for epoch in range(3)
    ]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2]) == list(range(60))
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_another_seed_is_another_order() -> None:
    one, other = (Batches(counting(60), SEQ_LEN, 60, seed).batch(0) for seed in (0, 1))
    assert windows_of(one) != windows_of(other)


def test_more_steps_than_the_text_has_are_refused_unless_repeated() -> None:
    tokens = counting(11)
    batches = Batches(tokens, SEQ_LEN, 2, seed=0)
    batches.check_enough(5)
    with pytest.raises(InputError, match=r"needs 60 tokens.* holds 50: .*repeat=True"):
        batches.check_enough(6)
    Batches(tokens, SEQ_LEN, 2, seed=0, repeat=True).check_enough(6)


@pytest.mark.parametrize("n_tokens", [0, 1, 5, 4 * SEQ_LEN])
def test_a_text_shorter_than_one_batch_is_refused(n_tokens: int) -> None:
    # A window's last target lies one token beyond it: 20 tokens hold three windows of 5, not 4.
    with pytest.raises(InputError, match=f"has {n_tokens} tokens, too few for one batch of 4"):
        Batches(np.zeros(n_tokens, np.uint16), SEQ_LEN, 4, seed=0)
    assert Batches(np.zeros(4 * SEQ_LEN + 1, np.uint16), SEQ_LEN, 4, seed=0).steps_per_epoch == 1


def held_out_text(tokens: np.ndarray) -> TokenCache:
    lossless = RoundTrip(1, 0, 1, 0, 1)
    return TokenCache(np.zeros(1, np.uint16), tokens, 60_000, len(tokens), "text", lossless)


@given(st.integers(1, 200), st.integers(1, 500))
@settings(deadline=None)
def test_held_out_windows_are_enough_distinct_and_evenly_spread(
    n_windows: int, tokens: int
) -> None:
    n_wanted = -(-tokens // SEQ_LEN)
    n_windows = max(n_windows, n_wanted)
    cache = held_out_text(counting(n_windows))
    tokens_NxT1 = held_out_windows(cache, SEQ_LEN, tokens)
    assert tokens_NxT1.shape == (n_wanted, SEQ_LEN + 1)
    windows = windows_of(tokens_NxT1)
    gaps = np.diff(windows)
    if len(gaps):
        assert (windows[0], windows[-1]) == (0, n_windows - 1)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 2
    np.testing.assert_array_equal(np.diff(tokens_NxT1, axis=1), 1)


def test_at_most_takes_a_shorter_text_whole() -> None:
    text = held_out_text(np.arange(10 * SEQ_LEN + 1, dtype=np.uint16))
    whole = held_out_windows(text, SEQ_LEN, 10 * SEQ_LEN)
    assert np.array_equal(held_out_windows(text, SEQ_LEN, 99 * SEQ_LEN, at_most=True), whole)
    few = held_out_windows(text, SEQ_LEN, 4 * SEQ_LEN, at_most=True)
    assert np.array_equal(few, held_out_windows(text, SEQ_LEN, 4 * SEQ_LEN))
    with pytest.raises(InputError, match="the held-out text has"):
        held_out_windows(held_out_text(np.arange(3, dtype=np.uint16)), SEQ_LEN, 8, at_most=True)


def test_held_out_windows_are_the_same_every_time() -> None:
    cache = held_out_text(np.random.default_rng(0).integers(0, 99, 5000).astype(np.uint16))
    one, other = (held_out_windows(cache, SEQ_LEN, 1000) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_held_out_text_too_short_for_the_evaluation_is_refused() -> None:
    needed = 2 * SEQ_LEN
    tokens = SEQ_LEN + 1
    message = rf"has {needed} tokens, .* {tokens} needs {needed + 1}"
    with pytest.raises(InputError, match=message):
        held_out_windows(held_out_text(np.zeros(needed, np.uint16)), SEQ_LEN, tokens)
    held_out_windows(held_out_text(np.zeros(needed + 1, np.uint16)), SEQ_LEN, tokens)


def test_held_out_windows_hold_no_training_text(tmp_path: Path) -> None:
    text = tmp_path / "numbers.txt"
    text.write_text("\n\n".join(f"{i:09d}" for i in range(4000)))
    cache = prepare(f"text:{text}", "bytes", tmp_path / "cache", progress=False)
    train = set(bytes(cache.train.astype(np.uint8)).split())
    for row in held_out_windows(cache, 100, 1600).astype(np.uint8):
        # The first and the last number of a window may be cut.
        held_out = bytes(row).split()[1:-1]
        assert len(held_out) > 5
        assert train.isdisjoint(held_out)
