from hypothesis import given
from hypothesis import strategies as st

from scaling_jax.accounting.memory_layout import Array, Peak, with_gaps, without_gaps


def test_an_array_lies_above_a_gap_that_is_too_small_for_it() -> None:
    freed, stays = Array(4, 0, 1), Array(2, 0, 3)
    # The gap of 4 below the array that stays.
    assert with_gaps([freed, stays, Array(4, 2, 3)]) == Peak(6, 0)
    assert with_gaps([freed, stays, Array(5, 2, 3)]) == Peak(11, 0)
    assert without_gaps([freed, stays, Array(5, 2, 3)]) == Peak(7, 0)


def test_what_lies_in_a_gap_leaves_less_of_it() -> None:
    freed, stays, small = Array(4, 0, 1), Array(2, 0, 3), Array(1, 2, 3)
    assert with_gaps([freed, stays, small, Array(3, 3, 3)]) == Peak(6, 0)
    assert with_gaps([freed, stays, small, Array(4, 3, 3)]) == Peak(10, 0)


def test_freed_neighbours_are_one_gap() -> None:
    arrays = [Array(2, 0, 1), Array(3, 0, 0), Array(1, 0, 3), Array(5, 2, 3)]
    assert with_gaps(arrays) == Peak(6, 0)


def test_gradients_are_those_in_memory_at_the_peak() -> None:
    early, late = Array(2, 0, 1, is_gradient=True), Array(3, 2, 3, is_gradient=True)
    arrays = [early, late, Array(1, 0, 3), Array(4, 3, 3)]
    assert with_gaps(arrays) == Peak(10, 3)
    assert without_gaps(arrays) == Peak(8, 3)
    assert with_gaps([]) == without_gaps([]) == Peak(0, 0)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_a_layout_needs_at_least_what_is_in_memory_and_at_most_everything(
    drawn: list[tuple[int, int, int]],
) -> None:
    arrays = [Array(size, first, first + length) for size, first, length in drawn]
    least, most = without_gaps(arrays).total, sum(array.size for array in arrays)
    assert least <= with_gaps(arrays).total <= most
    # Arrays that are all there together leave no gaps.
    together = [Array(array.size, 0, 1) for array in arrays]
    assert with_gaps(together).total == without_gaps(together).total == most
