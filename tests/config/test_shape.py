import dataclasses
from typing import Any

import pytest

from scaling_jax.config import Shape
from scaling_jax.errors import InputError

SHAPE = Shape(n_layers=2, d_model=32, n_heads=4, d_ff=128, vocab_size=256, seq_len=64)
MIXED = dataclasses.replace(SHAPE, n_experts=8)


def test_rows_of_an_expert_are_its_even_share_with_room_to_spare() -> None:
    rows = [dataclasses.replace(MIXED, capacity=c).expert_rows(64) for c in (0.01, 1, 1.25, 99)]
    assert rows == [1, 8, 10, 64]
    assert dataclasses.replace(MIXED, experts_per_token=4, capacity=1).expert_rows(30) == 15


def test_sizes_that_are_not_given_follow_from_the_others() -> None:
    assert (SHAPE.head_size, SHAPE.kv_heads) == (8, 4)
    assert (SHAPE.d_attn, SHAPE.d_kv) == (32, 32)
    grouped = dataclasses.replace(SHAPE, head_dim=6, n_kv_heads=2)
    assert (grouped.d_attn, grouped.d_kv) == (24, 12)


SIZES = [
    "n_layers",
    "d_model",
    "n_heads",
    "d_ff",
    "vocab_size",
    "seq_len",
    "head_dim",
    "n_kv_heads",
    "n_experts",
    "experts_per_token",
]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{name} {value} must be at least 1"):
        dataclasses.replace(SHAPE, **{name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"n_heads": 5, "head_dim": None, "n_kv_heads": None},
            r"n_heads 5 does not divide d_model 32: choose one of \[1, 2, 4, 8, 16, 32\]",
        ),
        ({"n_kv_heads": 3}, r"n_kv_heads 3 does not divide n_heads 4: .* \[1, 2, 4\]"),
        ({"n_kv_heads": 8}, r"n_kv_heads 8 does not divide n_heads 4"),
        ({"head_dim": 7}, r"head_dim 7 is odd, but rotary"),
        ({"positions": "rotry"}, r"positions is 'rotry' .*; did you mean 'rotary'"),
        ({"activation": "relu"}, r"activation is 'relu' \(there is gelu, swiglu\)"),
        (
            {"n_experts": 2, "experts_per_token": 3},
            "experts_per_token 3 is more than n_experts 2: choose at most 2",
        ),
        ({"experts_per_token": 2}, "experts_per_token 2 is more than n_experts 1"),
        ({"n_experts": 2, "capacity": 0.0}, "capacity 0.0 must be positive and finite"),
        ({"capacity": 1.5}, "capacity 1.5 has no effect in a dense model: leave it out, or set n_"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SHAPE, **changes)
    dataclasses.replace(SHAPE, head_dim=7, positions="learned")
