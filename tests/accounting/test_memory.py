import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_jax.accounting.memory import Memory, Spread, training_memory
from scaling_jax.config import OptimizerConfig, OptimizerName, Shape
from scaling_jax.execution import Execution
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.step import init_state, make_gradient

SMALL = Shape(n_layers=3, d_model=8, n_heads=2, d_ff=20, vocab_size=11, seq_len=5)
PARAMS = 1872  # tests/accounting/test_flops.py counts them
IN_A_LAYER = 4 * 8 * 8 + 2 * 8 * 20

# Bytes per token of one layer, all that its backward pass holds: eight forms of the residual
# stream in float32, three in bfloat16 beside queries, keys, values and result, six of the 20.
ALL_FORMS = 4 * 8 * 8 + 2 * (3 * 8 + 4 * 8 + 6 * 20)
# What the forward pass leaves for it: four forms of the stream, four of attention, two of the 20.
KEPT_FORMS = 2 * (4 * 8 + 4 * 8 + 2 * 20)
# Two heads' 5 scores, twice in float32 and once in bfloat16; kept are one and one.
SCORES = (2 * 4 + 2) * 2 * 5
KEPT_SCORES = (4 + 2) * 2 * 5


@pytest.mark.parametrize(
    ("remat", "kept"),
    [("none", KEPT_FORMS), ("dots", 2 * (8 + 24 + 8 + 20)), ("full", 2 * 8)],
)
def test_memory_of_a_small_shape_counted_by_hand(remat: str, kept: int) -> None:
    # The logits of 11 ids, in both precisions, are less than one layer's backward pass.
    activations = 2 * PARAMS + (2 + 4) * IN_A_LAYER + 4 * 11 * 8
    activations += 7 * 5 * (3 * kept + ALL_FORMS)
    estimated = training_memory(SMALL, Spread(7), remat=remat)
    assert estimated == Memory(4 * PARAMS, 8 * PARAMS, 4 * PARAMS, activations)
    assert estimated.total == 16 * PARAMS + activations
    assert estimated.times(2).total == 2 * estimated.total


def test_scores_are_there_where_no_kernel_works_them_off() -> None:
    kernel, plain = (training_memory(SMALL, Spread(7), kernel=k).activations for k in (True, False))
    assert plain - kernel == 7 * 5 * (3 * KEPT_SCORES + SCORES)
    # Recomputed, they are there for one layer at a time.
    kernel, plain = (
        training_memory(SMALL, Spread(7), remat="full", kernel=k).activations for k in (True, False)
    )
    assert plain - kernel == 7 * 5 * SCORES


def test_small_heads_are_stored_in_whole_tiles() -> None:
    # Two heads of 4 channels, each stored as 16, in queries, keys, values and result.
    extra = 2 * 4 * 2 * 12
    for remat, n_kept in (("none", 3), ("dots", 0), ("full", 0)):
        small, tiled = (
            training_memory(SMALL, Spread(7), remat=remat, head_tile=n).activations for n in (4, 16)
        )
        assert tiled - small == 7 * 5 * (n_kept + 1) * extra


def test_logits_count_a_chunk_at_a_time_where_they_are_the_most() -> None:
    wide = dataclasses.replace(SMALL, vocab_size=4000)
    whole, quarter = (training_memory(wide, Spread(7, loss_chunks=n), remat="full") for n in (1, 4))
    assert whole.activations - quarter.activations == 7 * 5 * 4000 * 6 * 3 // 4


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
    whole, quarter = (training_memory(SMALL, Spread(2, state=n)) for n in (1, 4))
    assert (quarter.params, quarter.moments) == (whole.params // 4, whole.moments // 4)
    # The copy in the compute precision is split too; the vocabulary's table is gathered, and a
    # second layer while the first is worked on.
    gathered = (4 + 2) * (11 * 8 + IN_A_LAYER)
    assert whole.activations - quarter.activations == 2 * PARAMS * 3 // 4 - gathered
    # What does not divide is rounded up.
    assert training_memory(SMALL, Spread(2, state=5)).params == -(-4 * PARAMS // 5)


def test_microbatches_have_gradients_beside_their_sum() -> None:
    one, two, four = (training_memory(SMALL, Spread(2, microbatches=n)) for n in (1, 2, 4))
    assert one.gradients == 4 * PARAMS
    assert two.gradients == four.gradients == 8 * PARAMS


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
    assert training_memory(shape, Spread(sequences + 1), **options).total > one.total
    shared = Spread(sequences, state=4, tensor=4)
    assert training_memory(shape, shared, **options).total < one.total
    if remat != "full":
        less = options | {"remat": "dots" if remat == "none" else "full"}
        assert training_memory(shape, Spread(sequences), **less).total < one.total


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
