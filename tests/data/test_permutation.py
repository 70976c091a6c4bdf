import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax.data.permutation import permute

keys = st.tuples(st.integers(0, 2**63), st.integers(0, 1000))


@given(st.integers(1, 3000), keys)
@settings(deadline=None)
def test_every_index_has_one_image(size: int, key: tuple[int, int]) -> None:
    images = permute(np.arange(size), size, key)
    np.testing.assert_array_equal(np.sort(images), np.arange(size))


@given(st.integers(2, 2**40), keys, st.integers(0, 2**40), st.integers(1, 50))
@settings(deadline=None)
def test_a_few_of_very_many_indices_stay_apart_and_inside(
    size: int, key: tuple[int, int], start: int, count: int
) -> None:
    indices = (start + np.arange(min(count, size))) % size
    images = permute(indices, size, key)
    assert len(set(images.tolist())) == len(indices)
    assert images.min() >= 0
    assert images.max() < size


@given(st.integers(1, 500), keys, st.data())
@settings(deadline=None)
def test_an_image_depends_on_its_index_alone(
    size: int, key: tuple[int, int], data: st.DataObject
) -> None:
    chosen = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1)))
    whole = permute(np.arange(size), size, key)
    np.testing.assert_array_equal(permute(chosen, size, key), whole[chosen])


@pytest.mark.parametrize("other", [(0, 1), (1, 0)])
def test_another_key_is_another_order(other: tuple[int, int]) -> None:
    indices = np.arange(1000)
    same = permute(indices, 1000, (0, 0)) == permute(indices, 1000, other)
    # Two random permutations agree in about one position.
    assert same.sum() < 10


def test_the_order_looks_random() -> None:
    n, n_keys = 64, 2000
    counts = np.zeros((n, n))
    for key in range(n_keys):
        counts[np.arange(n), permute(np.arange(n), n, (7, key))] += 1
    # Chi-squared over 64 x 64 cells has 63 x 63 degrees of freedom.
    chi_squared = ((counts - n_keys / n) ** 2 / (n_keys / n)).sum()
    freedom = (n - 1) ** 2
    assert abs(chi_squared - freedom) < 5 * np.sqrt(2 * freedom)
