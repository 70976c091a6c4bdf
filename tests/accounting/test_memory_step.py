import dataclasses

from scaling_jax.accounting.flops import count_params
from scaling_jax.accounting.memory_layers import Computed
from scaling_jax.accounting.memory_step import Spread, Step
from scaling_jax.config import Shape

SHAPE = Shape(n_layers=2, d_model=4096, n_heads=32, d_ff=8192, vocab_size=256, seq_len=128)
ATTENTION, MATRIX = 2 * 4 * 4096**2, 2 * 8192 * 4096
# Parameter and two moments in float32.
STATE = 3 * 4


def _step(state: int, *, pads: bool = False, tile: int = 128) -> Step:
    how = Computed(compute=2, remat="full", kernel=True, tensor=1, tile=tile)
    return Step(SHAPE, count_params(SHAPE), Spread(1, state=state), how, pads)


def test_copies_of_the_state_are_padded_where_the_chip_pads_shards() -> None:
    # 64 channels of the width, stored as 128: all but the inputs of the feed-forward layer.
    assert _step(64).copied_of_layers() == STATE * (MATRIX + ATTENTION) // 64
    padded = STATE * (MATRIX + 2 * (MATRIX + ATTENTION)) // 64
    assert _step(64, pads=True).copied_of_layers() == padded
    # 16 channels are not padded.
    assert _step(256, pads=True).copied_of_layers() == STATE * (MATRIX + ATTENTION) // 256
    # 128 channels are whole tiles, in a ring of 32.
    assert _step(32, pads=True).copied_of_layers() == STATE * (MATRIX + ATTENTION) // 32


def test_unsharded_copies_are_those_of_the_joined_matrices() -> None:
    assert _step(1).copied_of_layers() == STATE * (MATRIX + ATTENTION * 3 // 4)
    assert _step(1, tile=1).copied_of_layers() == _step(64, tile=1).copied_of_layers() == 0


def test_the_embedding_is_copied_for_its_lookup_unless_its_shards_are_whole_tiles() -> None:
    assert _step(64).copied_of_embedding() == STATE * 256 * 128
    assert _step(256).copied_of_embedding() == STATE * 256 * 128
    assert _step(32).copied_of_embedding() == _step(1).copied_of_embedding() == 0


def test_a_ring_is_of_at_most_32_devices() -> None:
    assert [_step(n).is_ring for n in (2, 32, 64)] == [True, True, False]
    # Those that shard the heads do not count.
    split = _step(64)._replace(spread=Spread(1, state=64, tensor=2))
    assert (split.is_ring, split.width) == (True, 128)


def test_rows_are_those_of_one_experts_products() -> None:
    step = _step(64)._replace(spread=Spread(3, state=64))
    assert step.rows == 3 * 128
    # Capacity for twice an even share: 128 tokens, one of 8 experts each.
    mixture = step._replace(shape=dataclasses.replace(SHAPE, n_experts=8))
    assert mixture.rows == 3 * 32
