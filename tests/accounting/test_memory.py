import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_jax.accounting.memory import Memory, training_memory
from scaling_jax.accounting.memory_step import Spread
from scaling_jax.config import OptimizerConfig, OptimizerName, Shape
from scaling_jax.execution import Execution
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.step import init_state, make_gradient

SMALL = Shape(n_layers=3, d_model=8, n_heads=2, d_ff=20, vocab_size=11, seq_len=5)
PARAMS = 1872  # tests/accounting/test_flops.py counts them
IN_A_LAYER = 4 * 8 * 8 + 2 * 8 * 20

# What the forward pass leaves for a layer's backward pass, in bytes per token: five forms of the
# stream, four of attention, two of the 20.
KEPT_FORMS = 2 * (5 * 8 + 4 * 8 + 2 * 20)
# What the backward pass of a layer holds. Without recomputation the most in attention: three forms
# of the stream, queries, keys and values together, each of them, the result, and two heads'
# normalizers in float32. With recomputation the most in the feed-forward layer: two forms of the
# 20, the four of attention, six of the stream, and the normalizers.
IN_ATTENTION = 2 * (3 * 8 + 3 * 8 + 4 * 8) + 4 * 2
IN_FEED_FORWARD = 2 * (2 * 20 + 4 * 8 + 6 * 8) + 4 * 2
# Two heads' 5 scores, twice in float32 and once in bfloat16; kept are one and one. Without a kernel
# there are no normalizers.
SCORES = (2 * 4 + 2) * 2 * 5 - 4 * 2
KEPT_SCORES = (4 + 2) * 2 * 5
# The gradient of the output matrix, and a step's gradients but those of the tables and the gains.
TABLE = 4 * 11 * 8
MATRICES = 3 * IN_A_LAYER


@pytest.mark.parametrize(
    ("remat", "kept", "held"),
    [
        ("none", KEPT_FORMS, IN_ATTENTION),
        ("dots", 2 * (8 + 24 + 8 + 20), IN_FEED_FORWARD),
        ("full", 2 * 8, IN_FEED_FORWARD),
    ],
)
def test_memory_of_a_small_shape_counted_by_hand(remat: str, kept: int, held: int) -> None:
    # The logits of 11 ids are less than one layer's backward pass.
    activations = 2 * MATRICES + TABLE + 7 * 5 * (3 * kept + held)
    estimated = training_memory(SMALL, Spread(7), remat=remat)
    assert estimated == Memory(4 * PARAMS, 8 * PARAMS, 4 * MATRICES, activations)
    assert estimated.total == 12 * PARAMS + 4 * MATRICES + activations
    assert estimated.times(2).total == 2 * estimated.total


def test_the_loss_and_the_layers_are_never_in_memory_together() -> None:
    wide = dataclasses.replace(SMALL, vocab_size=400)
    whole, quarter, narrow = (
        training_memory(wide, Spread(70, loss_chunks=n), remat="full") for n in (1, 4, 350)
    )
    logits = 70 * 5 * 400 * 6
    beside = 2 * MATRICES + 4 * 400 * 8 + 70 * 5 * 3 * 2 * 8
    # There are no gradients of the layers yet while the loss is computed.
    assert (whole.gradients, whole.activations) == (0, beside + logits)
    assert (quarter.gradients, quarter.activations) == (0, beside + logits // 4)
    in_layers = beside + 70 * 5 * IN_FEED_FORWARD
    assert (narrow.gradients, narrow.activations) == (4 * MATRICES, in_layers)


def test_large_tables_count_at_the_end_of_a_step() -> None:
    wide = dataclasses.replace(SMALL, vocab_size=4000)
    (one, other) = (
        training_memory(wide, Spread(1, loss_chunks=5), remat=r) for r in ("full", "none")
    )
    # The gradients of the embedding and of the output, and one of them in another layout.
    assert one == other
    assert (one.gradients, one.activations) == (4 * MATRICES, 3 * 4 * 4000 * 8)


def test_scores_are_there_where_no_kernel_works_them_off() -> None:
    kernel, plain = (training_memory(SMALL, Spread(7), kernel=k).activations for k in (True, False))
    assert plain - kernel == 7 * 5 * (3 * KEPT_SCORES + SCORES)
    # Recomputed, they are there for one layer at a time, and its attention holds the most: eight
    # forms of the stream, one of the 20, four of attention, and the scores.
    kernel, plain = (
        training_memory(SMALL, Spread(7), remat="full", kernel=k).activations for k in (True, False)
    )
    in_attention = 2 * (8 * 8 + 20 + 4 * 8) + SCORES + 4 * 2
    assert plain - kernel == 7 * 5 * (in_attention - IN_FEED_FORWARD)


def test_small_heads_are_stored_in_whole_tiles() -> None:
    # Two heads of 4 channels, each stored as 16, in queries, keys, values and result.
    extra = 2 * 4 * 2 * 12

    def activations(tile: int, **changes: Any) -> int:
        shape = dataclasses.replace(SMALL, **changes)
        found = training_memory(shape, Spread(700), tile=tile)
        return found.gradients + found.activations

    # Beside the heads that each layer keeps, the backward pass of a layer holds the queries, keys
    # and values once more, and the normalizers for 12 numbers more each.
    held = extra + 2 * 3 * 2 * 12 + 4 * 2 * 12
    small, tiled = (activations(n) for n in (4, 16))
    assert tiled - small == 700 * 5 * (3 * extra + held)


def test_a_tpu_copies_the_state_and_gradients_lie_where_it_was() -> None:
    def beside_the_state(**options: Any) -> int:
        found = training_memory(SMALL, Spread(7), **options)
        return found.gradients + found.activations

    # Parameters and both moments of the queries, keys and values and of the feed-forward layer's
    # inputs, in float32, are more than the gradients. A tile of two doubles the normalizers.
    copied = 3 * 4 * 3 * (3 * 8 * 8 + 8 * 20)
    normalizers = 7 * 5 * 4 * 2
    assert beside_the_state(tile=2) - beside_the_state() == copied - 4 * MATRICES + normalizers


def test_moments_of_experts_are_muons_and_those_of_their_routers_adams() -> None:
    shape = dataclasses.replace(SMALL, n_experts=4)
    experts, routers, dense = 3 * 4 * 320, 3 * 8 * 4, PARAMS - 3 * 320
    total = dense + experts + routers
    adamw, muon = (training_memory(shape, Spread(1), optimizer=o) for o in ("adamw", "muon"))
    assert (adamw.params, adamw.moments) == (4 * total, 8 * total)
    assert adamw.moments - muon.moments == 4 * (experts + 3 * 4 * 8 * 8)


WIDE = Shape(n_layers=2, d_model=256, n_heads=4, d_ff=1024, vocab_size=256, seq_len=8)


@pytest.mark.parametrize("shape", [SMALL, WIDE], ids=["small", "wide"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "adafactor", "muon"])
def test_moments_are_those_of_the_optimizer(optimizer: OptimizerName, shape: Shape) -> None:
    config = OptimizerConfig(
        1e-3, 0, name=optimizer, weight_decay=0.0 if optimizer == "adam" else 0.1
    )
    spec = ModelSpec(shape, config, "float32")
    state = jax.eval_shape(lambda key: init_state(spec, key), jax.random.key(0))
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state["opt"]))
    estimated = training_memory(shape, Spread(1), optimizer=optimizer).moments
    # A few counters, and of Adafactor the sums over rows and columns.
    assert 0 <= held - estimated <= 150 + (0.01 * estimated if optimizer == "adafactor" else 0)


def test_shards_split_the_state() -> None:
    whole, quarter = (training_memory(SMALL, Spread(7, state=n), remat="full") for n in (1, 4))
    assert (quarter.params, quarter.moments) == (whole.params // 4, whole.moments // 4)
    assert quarter.gradients == MATRICES
    # The copy in the compute precision is split too; the vocabulary's table is gathered, and a
    # matrix of the layer.
    gathered = TABLE + 2 * 8 * 20
    assert whole.activations - quarter.activations == 2 * MATRICES * 3 // 4 - gathered
    # What does not divide is rounded up.
    assert training_memory(SMALL, Spread(2, state=5)).params == -(-4 * PARAMS // 5)


def test_sharded_gradients_are_summed_whole() -> None:
    # With few tokens, the matrices of a layer are the most: one of the feed-forward layer beside
    # its sum, the other, and that of queries, keys and values, all in float32.
    few = dataclasses.replace(SMALL, d_ff=2000)
    params = training_memory(few, Spread(1)).params // 4
    found = training_memory(few, Spread(1, state=4))
    matrices = 3 * (4 * 8 * 8 + 2 * 8 * 2000)
    held = 2 * (2000 + 4 * 8 + 4 * 8)
    sums = 4 * (3 * 8 * 2000 + 3 * 8 * 8)
    assert found.params == params
    assert (
        found.activations
        == matrices // 2 + 2 * TABLE + 5 * (3 * (2 * (9 * 8 + 4000)) + held) + sums
    )


def test_microbatches_have_gradients_beside_their_sum() -> None:
    one, two, four = (training_memory(SMALL, Spread(7, microbatches=n)) for n in (1, 2, 4))
    assert one.gradients == 4 * MATRICES
    assert two.gradients == four.gradients == 4 * MATRICES + 4 * PARAMS


SIZES = ["n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len"]


@given(
    st.sampled_from(SIZES),
    st.tuples(*[st.integers(1, 6)] * len(SIZES)),
    st.integers(1, 64),
    st.sampled_from([1, 4]),
    st.sampled_from(["none", "dots", "full"]),
    st.fixed_dictionaries(
        {
            "precision": st.sampled_from(["float32", "bfloat16"]),
            "optimizer": st.sampled_from(["adamw", "muon", "adafactor"]),
            "kernel": st.booleans(),
        }
    ),
)
def test_memory_grows_with_every_size_and_falls_with_recomputation_and_shares(
    name: str,
    multiples: tuple[int, ...],
    sequences: int,
    n_experts: int,
    remat: str,
    options: dict[str, Any],
) -> None:
    sizes = {size: 4 * multiple for size, multiple in zip(SIZES, multiples, strict=True)}
    shape = Shape(**sizes, head_dim=4, n_experts=n_experts)  # type: ignore[arg-type]
    larger = dataclasses.replace(shape, n_kv_heads=None, **{name: 2 * sizes[name]})
    options |= {"remat": remat}
    one = training_memory(shape, Spread(sequences), **options)
    assert training_memory(larger, Spread(sequences), **options).total > one.total
    # At the end of a step no activations are left.
    assert training_memory(shape, Spread(sequences + 1), **options).total >= one.total
    shared = Spread(sequences, state=4, tensor=4)
    assert training_memory(shape, shared, **options).total < one.total
    if remat != "full":
        less = options | {"remat": "dots" if remat == "none" else "full"}
        assert training_memory(shape, Spread(sequences), **less).total <= one.total


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_experts": 4, "experts_per_token": 2},
        {"architecture": "recurrent", "n_layers": 2, "passes": 3},
        {"architecture": "lstm", "n_heads": 1, "d_ff": 64},
    ],
)
def test_activations_are_within_a_factor_of_two_of_the_compilers_plan(changes: dict) -> None:
    dims = dict(n_layers=4, d_model=64, n_heads=4, d_ff=256, vocab_size=256, seq_len=64)
    shape = Shape(**{**dims, **changes})
    execution = Execution(scan_layers=True, attention="xla")
    spec = ModelSpec(shape, OptimizerConfig(1e-3, 0), "float32", execution=execution)
    params = jax.eval_shape(lambda key: init_state(spec, key)["params"], jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((16, shape.seq_len + 1), jnp.int32)
    program = jax.jit(make_gradient(spec)).lower(params, tokens).compile()
    planned = program.memory_analysis().temp_size_in_bytes
    estimated = training_memory(shape, Spread(16), precision="float32", kernel=False).activations
    assert 0.5 < planned / estimated < 2
