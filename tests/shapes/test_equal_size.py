"""Shapes of equal size have the wanted size and differ in one proportion at a time."""

import pytest

from scaling_jax.accounting.flops import count_params
from scaling_jax.errors import InputError
from scaling_jax.shapes import Family, Proportions, equal_shapes

FAMILIES = {
    15e3: Family(vocab_size=256, seq_len=128),
    1e6: Family(vocab_size=256, seq_len=128, activation="swiglu"),
    5e7: Family(vocab_size=32_000, seq_len=1024, positions="learned"),
}


@pytest.mark.parametrize("params", FAMILIES)
def test_sizes_are_within_two_percent_and_one_proportion_differs(params: float) -> None:
    family = FAMILIES[params]
    found = equal_shapes(params, family)
    (base,) = found["base"]
    for shape in (shape for shapes in found.values() for shape in shapes):
        assert count_params(shape).non_embedding == pytest.approx(params, rel=0.02)
    usual = family.smallest().d_ff / family.smallest().d_model
    for shape in found["aspect"]:
        assert shape.n_layers != base.n_layers
        assert shape.n_heads == base.n_heads
        assert shape.d_ff / shape.d_model == pytest.approx(usual, rel=0.17)
    for shape in found["heads"]:
        assert shape.n_heads != base.n_heads
        assert count_params(shape) == count_params(base)
    ratios = [shape.d_ff / shape.d_model for shape in found["feed-forward"]]
    assert len({round(ratio) for ratio in ratios}) == len(ratios) > 1
    assert {shape.n_layers for shape in found["feed-forward"]} == {base.n_layers}
    assert len(found["aspect"]) > 1
    assert found["heads"]


def test_a_size_that_no_shape_has_is_refused() -> None:
    with pytest.raises(InputError, match="lies within 2% of them"):
        equal_shapes(500, Family(vocab_size=256, seq_len=128))
    only_base = Proportions(aspects=(64,), n_heads=(2,), ff_ratios=(4,))
    with pytest.raises(InputError, match="has other proportions than the base"):
        equal_shapes(15e3, Family(vocab_size=256, seq_len=128), only_base)
    with pytest.raises(InputError, match="n_heads 0 must be positive"):
        Proportions(n_heads=(0,))
