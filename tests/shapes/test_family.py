import dataclasses
import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import Shape
from scaling_jax.errors import InputError
from scaling_jax.shapes import CHINCHILLA_SHAPES, LARGEST_PARAMS, Family
from scaling_jax.study.plan.description import stored_form

BYTES = Family(vocab_size=256, seq_len=256)

FINE = [
    BYTES,
    Family(256, 128, aspect=32, min_layers=3),
    Family(32_000, 2048),
    Family(50_257, 1024, aspect=100, activation="swiglu", tied_embedding=False, qk_norm=True),
]
# Where key/value heads are prescribed only some widths can have them.
COARSE = [
    Family(8192, 512, head_dim=32, n_kv_heads=2, positions="learned"),
    # Counts dip where the width reaches 256 and its four heads become eight.
    Family(256, 64, n_kv_heads=4),
]
FAMILIES = [*FINE, *COARSE]
families = st.sampled_from(FAMILIES)


def total(shape: Shape) -> int:
    return count_params(shape).total


def every_five_per_cent(least: float) -> Iterator[float]:
    return (least * 1.05**i for i in itertools.count())


@given(families, st.floats(math.log(2e6), math.log(2e9)))
@settings(max_examples=60, deadline=None)
def test_nearest_is_nearest_of_all(family: Family, log_params: float) -> None:
    params = max(math.exp(log_params), total(family.smallest()))
    # No shape past this width can be near: it has more than eight times the parameters.
    some = itertools.takewhile(lambda s: 24 * s.d_model**2 < 8 * params, family.shapes())
    best = min(abs(math.log(total(shape) / params)) for shape in some)
    assert abs(math.log(total(family.nearest(params)) / params)) == pytest.approx(best, abs=1e-12)


@given(families, st.floats(0, 18), st.floats(0, 18))
@settings(max_examples=100, deadline=None)
def test_size_grows_with_the_wanted_size(family: Family, one: float, other: float) -> None:
    least = total(family.smallest())
    small, large = (family.nearest(least * math.exp(x)) for x in sorted((one, other)))
    assert total(small) <= total(large)


@pytest.mark.parametrize("family", FINE)
def test_a_shape_is_near_any_wanted_size(family: Family) -> None:
    least = total(family.smallest())
    for params in itertools.takewhile(lambda n: n <= LARGEST_PARAMS, every_five_per_cent(least)):
        ratio = total(family.nearest(params)) / params
        # The widest gaps are where the depth first rises from its minimum.
        assert 0.7 < ratio < 1.4
        if params > 1e8:
            assert 0.9 < ratio < 1.1


@pytest.mark.parametrize("family", COARSE)
def test_a_shape_is_within_one_doubling_of_the_width_under_prescribed_heads(
    family: Family,
) -> None:
    for params in itertools.takewhile(
        lambda n: n <= LARGEST_PARAMS, every_five_per_cent(total(family.smallest()))
    ):
        assert 0.5 < total(family.nearest(params)) / params < 2


@pytest.mark.parametrize("family", FAMILIES)
def test_depth_is_as_near_the_aspect_as_whole_numbers_allow(family: Family) -> None:
    for shape in itertools.islice(family.shapes(), 400):
        exact = shape.d_model / family.aspect
        nearest = max(family.min_layers, math.floor(exact + 0.5))
        assert shape.n_layers == nearest or abs(math.log(shape.n_layers / exact)) < math.log(1.1501)


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_divide_the_width_and_have_sensible_sizes(family: Family) -> None:
    for shape in itertools.islice(family.shapes(), 400):
        assert shape.n_heads * shape.head_size == shape.d_model
        assert shape.head_size % 2 == 0
        # The narrowest shapes, below a width of 32, have two small heads.
        assert min(16, shape.d_model // 2) <= shape.head_size <= 128


def test_heads_of_wide_shapes_are_the_published_ones() -> None:
    ladder = {s.d_model: s.head_size for s in itertools.islice(FINE[2].shapes(), 2000)}
    for published in CHINCHILLA_SHAPES:
        # Four published widths do not hold their heads exactly, so no divisor matches them.
        if published.d_attn == published.d_model and published.d_model in ladder:
            assert ladder[published.d_model] == published.head_size


def test_a_dense_family_is_described_as_it_was_before_there_were_experts() -> None:
    # Recipes, and with them studies' stores, are identified by this.
    later = {"n_experts", "experts_per_token", "capacity", "architecture", "passes", "sized_by"}
    assert stored_form(Family(256, 128)).keys() == {"is", *names_of(Family)} - later
    assert stored_form(Family(256, 128, n_experts=8)).keys() & later == {"n_experts"}


def names_of(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def test_a_mixture_is_as_large_as_a_dense_model_by_what_a_token_uses() -> None:
    dense, mixed = Family(256, 128), Family(256, 128, n_experts=8, capacity=1.5)
    for params in (1e5, 3e6, 2e8):
        one, other = dense.nearest(params), mixed.nearest(params)
        assert (other.n_experts, other.capacity) == (8, 1.5)
        assert count_params(other).active == pytest.approx(params, rel=0.1)
        assert count_params(other).total > 2 * count_params(one).total
    with pytest.raises(InputError, match="experts_per_token 3 is more than n_experts 2"):
        Family(256, 128, n_experts=2, experts_per_token=3)


def test_a_family_like_chinchillas_holds_its_smallest_shape() -> None:
    smallest = CHINCHILLA_SHAPES[0]
    assert Family(vocab_size=32_000, seq_len=2048).nearest(total(smallest)) == smallest


def test_the_smallest_count_is_named_where_no_shape_is_small_enough() -> None:
    least = total(BYTES.smallest())
    assert BYTES.nearest(least) == BYTES.smallest()
    with pytest.raises(InputError, match=f"{least - 1} parameters.*from {least} to"):
        BYTES.nearest(least - 1)


@pytest.mark.parametrize("params", [0, -1.0, math.nan, math.inf, 1e16])
def test_impossible_counts_are_refused(params: float) -> None:
    with pytest.raises(InputError, match="parameters"):
        BYTES.nearest(params)


def test_switches_reach_the_shape() -> None:
    family = Family(
        vocab_size=300,
        seq_len=64,
        n_kv_heads=2,
        positions="learned",
        activation="swiglu",
        tied_embedding=False,
        qk_norm=True,
    )
    shape = family.nearest(3e6)
    assert (shape.vocab_size, shape.seq_len, shape.kv_heads) == (300, 64, 2)
    assert (shape.positions, shape.activation) == ("learned", "swiglu")
    assert (shape.tied_embedding, shape.qk_norm) == (False, True)
    assert shape.d_ff == pytest.approx(shape.d_model * 8 / 3, rel=0.05)


@pytest.mark.parametrize(
    "wrong", [{"aspect": 0.0}, {"aspect": math.nan}, {"min_layers": 0}, {"head_dim": 0}]
)
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Family(256, 256, **wrong)  # type: ignore[arg-type]


def test_odd_heads_are_refused_under_rotary_positions() -> None:
    with pytest.raises(InputError, match="odd"):
        Family(256, 256, head_dim=17)
    assert Family(256, 256, head_dim=17, positions="learned").smallest().head_size == 17


def test_grid_is_distinct_ascending_and_spans_the_range() -> None:
    shapes = BYTES.grid(2e4, 2e6, 12)
    sizes = [total(shape) for shape in shapes]
    assert len(sizes) == 12
    assert sizes == sorted(set(sizes))
    assert shapes[0] == BYTES.nearest(2e4)
    assert shapes[-1] == BYTES.nearest(2e6)


def test_grid_finer_than_the_family_names_each_shape_once() -> None:
    shapes = BYTES.grid(2e4, 4e4, 200)
    every = {s for s in itertools.islice(BYTES.shapes(), 50) if 2e4 < total(s) < 4e4}
    assert len(shapes) == len(set(shapes))
    assert every <= set(shapes)


@pytest.mark.parametrize(("low", "high", "points"), [(1e6, 1e5, 5), (1e5, 1e5, 5), (1e5, 1e6, 1)])
def test_impossible_grids_are_refused(low: float, high: float, points: int) -> None:
    with pytest.raises(InputError, match="shapes from"):
        BYTES.grid(low, high, points)
