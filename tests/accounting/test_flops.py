import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax.accounting.flops import (
    BACKWARD_PER_FORWARD,
    CONVENTIONS,
    Convention,
    OpFlops,
    ParamCount,
    count_params,
    forward_ops,
    training_flops,
)
from scaling_jax.architectures.products import Products, product_flops
from scaling_jax.config import OptimizerConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.model import Transformer
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.step import init_state, make_gradient

SMALL = Shape(n_layers=3, d_model=8, n_heads=2, d_ff=20, vocab_size=11, seq_len=5)
SWITCHED = dataclasses.replace(
    SMALL,
    n_kv_heads=1,
    positions="learned",
    activation="swiglu",
    tied_embedding=False,
    qk_norm=True,
)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    kv_heads, group = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    n_experts = draw(st.sampled_from([1, 1, 2, 5, 64]))
    return Shape(
        n_layers=draw(st.integers(1, 6)),
        d_model=draw(st.integers(1, 300)),
        n_heads=kv_heads * group,
        d_ff=draw(st.integers(1, 900)),
        vocab_size=draw(st.integers(2, 50_000)),
        seq_len=draw(st.integers(1, 3000)),
        head_dim=2 * draw(st.integers(1, 64)),
        n_kv_heads=kv_heads,
        positions=draw(st.sampled_from(["rotary", "learned"])),
        activation=draw(st.sampled_from(["gelu", "swiglu"])),
        tied_embedding=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
        n_experts=n_experts,
        experts_per_token=draw(st.integers(1, min(n_experts, 4))),
        capacity=2.0 if n_experts == 1 else draw(st.floats(0.1, 8)),
    )


def test_parameters_of_a_shape_counted_by_hand() -> None:
    counted = count_params(SMALL)
    assert counted == ParamCount(
        embedding=11 * 8,
        positions=0,
        attention=3 * 4 * 8 * 8,
        feed_forward=3 * 2 * 8 * 20,
        norms=3 * 2 * 8 + 8,
        output=0,
    )
    assert (counted.total, counted.non_embedding, counted.active) == (1872, 1784, 1872)


def test_parameters_under_every_switch_counted_by_hand() -> None:
    counted = count_params(SWITCHED)
    assert counted == ParamCount(
        embedding=11 * 8,
        positions=5 * 8,
        attention=3 * (8 * 8 + 2 * 8 * 4 + 8 * 8),
        feed_forward=3 * 3 * 8 * 20,
        norms=3 * (2 * 8 + 2 * 4) + 8,
        output=8 * 11,
    )
    assert counted.total == counted.non_embedding + 88 + 40 + 88


@pytest.mark.parametrize(
    "shape",
    [
        SMALL,
        SWITCHED,
        dataclasses.replace(SMALL, head_dim=6),
        dataclasses.replace(SMALL, n_layers=1, activation="swiglu", qk_norm=True),
        dataclasses.replace(SMALL, n_experts=6, experts_per_token=2, activation="swiglu"),
    ],
)
def test_parameters_are_those_of_the_model_as_built(shape: Shape) -> None:
    model = nnx.eval_shape(lambda: Transformer(shape, rngs=nnx.Rngs(0)))
    built = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    assert count_params(shape).total == built


MIXED = dataclasses.replace(SMALL, n_experts=6, experts_per_token=2)


def test_parameters_of_experts_counted_by_hand() -> None:
    counted, dense = count_params(MIXED), count_params(SMALL)
    assert counted == dataclasses.replace(
        dense,
        feed_forward=0,
        router=3 * 8 * 6,
        experts=3 * 2 * (2 * 8 * 20),
        other_experts=3 * 4 * (2 * 8 * 20),
    )
    assert counted.total == dense.total + 3 * (8 * 6 + 5 * 320)
    assert counted.active == dense.total + 3 * (8 * 6 + 320)
    assert counted.total - counted.non_embedding == counted.active - counted.active_non_embedding


def test_exact_operations_of_experts_counted_by_hand() -> None:
    # 2 * 5 * 2 / 6 rows of each expert, rounded up, for a sequence of 5.
    rows = 6 * 4
    expected = dataclasses.replace(
        forward_ops(SMALL), feed_forward=0, router=3 * 2 * 5 * 8 * 6, experts=3 * 2 * rows * 320
    )
    assert forward_ops(MIXED) == expected
    # An expert never has more rows than there are positions.
    roomy = forward_ops(dataclasses.replace(MIXED, capacity=100))
    assert roomy.experts == 3 * 2 * (6 * 5) * 320


def test_exact_operations_counted_by_hand() -> None:
    forward = forward_ops(SMALL, "exact")
    assert forward == OpFlops(
        embedding=0,
        qkv=3 * 2 * 5 * 8 * 24,
        scores=3 * 2 * 5 * 5 * 8,
        softmax=0,
        values=3 * 2 * 5 * 5 * 8,
        projection=3 * 2 * 5 * 8 * 8,
        feed_forward=3 * 2 * 5 * 2 * 8 * 20,
        norms=0,
        logits=2 * 5 * 8 * 11,
    )
    assert forward.total == 20_560
    assert training_flops(SMALL, 7, "exact") == 7 * 3 * 20_560 // 5


def test_chinchilla_adds_the_lookup_and_the_softmax_of_appendix_f() -> None:
    exact, chinchilla = forward_ops(SMALL, "exact"), forward_ops(SMALL, "chinchilla")
    expected = dataclasses.replace(exact, embedding=2 * 5 * 11 * 8, softmax=3 * 3 * 2 * 5 * 5)
    assert chinchilla == expected


@given(shapes(), st.integers(1, 10**13))
def test_conventions_are_what_their_names_say(shape: Shape, tokens: int) -> None:
    params = count_params(shape)
    assert training_flops(shape, tokens, "kaplan") == 6 * params.active_non_embedding * tokens
    assert training_flops(shape, tokens, "6nd") == 6 * params.active * tokens
    if shape.is_dense:
        assert params.active == params.total
        matrices = params.attention + params.feed_forward + shape.vocab_size * shape.d_model
        context = 4 * shape.n_layers * shape.seq_len * shape.d_attn
        assert training_flops(shape, tokens, "exact") == 3 * (2 * matrices + context) * tokens


@given(shapes(), st.sampled_from(CONVENTIONS))
def test_training_on_one_sequence_is_its_forward_and_backward(
    shape: Shape, convention: Convention
) -> None:
    both = (1 + BACKWARD_PER_FORWARD) * forward_ops(shape, convention).total
    assert training_flops(shape, shape.seq_len, convention) == both


@given(shapes())
@settings(max_examples=30)
def test_kaplan_operations_leave_out_what_embeds(shape: Shape) -> None:
    kaplan, total = forward_ops(shape, "kaplan"), forward_ops(shape, "6nd")
    assert kaplan == dataclasses.replace(total, embedding=0, logits=0)


@given(shapes())
@settings(max_examples=30)
def test_causal_scores_are_those_on_and_below_the_diagonal(shape: Shape) -> None:
    full, causal = forward_ops(shape), forward_ops(shape, causal=True)
    pairs = sum(1 + position for position in range(shape.seq_len))
    each = 2 * shape.n_layers * pairs * shape.d_attn
    assert causal == dataclasses.replace(full, scores=each, values=each)
    tokens = 7 * shape.seq_len
    assert training_flops(shape, tokens, causal=True) == 7 * 3 * causal.total
    for convention in ("kaplan", "6nd"):
        assert forward_ops(shape, convention, causal=True) == forward_ops(shape, convention)


WIDE = Shape(n_layers=2, d_model=128, n_heads=4, d_ff=384, vocab_size=512, seq_len=64)
VARIANTS = {
    "plain": {},
    "grouped heads": {"n_kv_heads": 2},
    "one key and value": {"n_kv_heads": 1},
    "wide heads": {"head_dim": 48},
    "SwiGLU": {"activation": "swiglu"},
    "untied": {"tied_embedding": False},
    "learned positions": {"positions": "learned"},
    "normalized heads": {"qk_norm": True},
    "experts": {"n_experts": 4},
    "two experts a token": {"n_experts": 5, "experts_per_token": 2, "activation": "swiglu"},
    "recurrent": {"architecture": "recurrent", "passes": 3},
    "LSTM": {"architecture": "lstm", "n_heads": 1, "d_ff": 128},
}
SEQUENCES = 4


def gradient_program(shape: Shape, execution: Execution) -> Any:
    """The gradient of a batch of `SEQUENCES`, traced."""
    spec = ModelSpec(shape, OptimizerConfig(1e-3, 0), "float32", execution=execution)
    params = jax.eval_shape(lambda key: init_state(spec, key)["params"], jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((SEQUENCES, shape.seq_len + 1), jnp.int32)
    return jax.jit(make_gradient(spec)).trace(params, tokens)


with_each_variant = pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)


@with_each_variant
def test_exact_is_what_the_traced_program_multiplies(changes: dict) -> None:
    shape = dataclasses.replace(WIDE, **{"n_kv_heads": None, "head_dim": None, **changes})
    exact = training_flops(shape, SEQUENCES * shape.seq_len)
    for execution in (
        Execution(scan_layers=False),
        Execution(scan_layers=True, loss_chunks=4),
        Execution(scan_layers=True, accumulate=2),
    ):
        products = product_flops(gradient_program(shape, execution).jaxpr.jaxpr)
        assert products == Products(plain=exact)
    if shape.architecture == "lstm":
        return
    # Recomputing a layer is its forward pass again, less the last product, which nothing needs
    # save the weights of experts.
    whole = product_flops(gradient_program(shape, Execution(remat="full")).jaxpr.jaxpr).plain
    forward = forward_ops(shape)
    last = forward.feed_forward // (3 if shape.activation == "swiglu" else 2)
    assert whole == exact + SEQUENCES * (forward.total - forward.logits - last)


@with_each_variant
def test_exact_is_what_xla_counts_less_the_element_wise_work(changes: dict) -> None:
    shape = dataclasses.replace(WIDE, **{"n_kv_heads": None, "head_dim": None, **changes})
    if shape.architecture == "lstm":
        # XLA counts a loop once, and the loop over positions goes round once for one position.
        shape = dataclasses.replace(shape, seq_len=1)
    program = gradient_program(shape, Execution(scan_layers=False)).lower()
    analysed = [program, program.compile()] if not changes else [program]
    for form in analysed:
        counted = form.cost_analysis()["flops"]
        assert 1 < counted / training_flops(shape, SEQUENCES * shape.seq_len) < 1.05


def test_an_lstm_counted_by_hand() -> None:
    shape = Shape(3, 8, 1, 8, vocab_size=11, seq_len=5, architecture="lstm")
    counted = count_params(shape)
    assert (counted.gates, counted.norms, counted.embedding) == (3 * 4 * (2 * 64 + 8), 4 * 8, 88)
    assert counted.non_embedding == counted.total - 88
    per_token = {name: forward_ops(shape, name).total / 5 for name in CONVENTIONS}
    exact = 3 * 2 * 4 * 2 * 64 + 2 * 88
    expected = {"exact": exact, "chinchilla": exact + 2 * 88}
    expected |= {"kaplan": 2 * counted.non_embedding, "6nd": 2 * counted.total}
    assert per_token == expected


def test_a_recurrent_transformer_has_its_parameters_once_and_their_flops_at_each_pass() -> None:
    once = dataclasses.replace(SMALL, architecture="recurrent")
    thrice = dataclasses.replace(once, passes=3)
    assert count_params(thrice) == count_params(once) == count_params(SMALL)
    final_gain = 2 * 5 * 8
    for name in CONVENTIONS:
        one, three = forward_ops(once, name), forward_ops(thrice, name)
        assert one == forward_ops(SMALL, name)
        outside = one.embedding + one.logits + (final_gain if name in ("kaplan", "6nd") else 0)
        assert three.total - outside == 3 * (one.total - outside)


@pytest.mark.parametrize("tokens", [0, -5])
def test_tokens_below_one_are_refused(tokens: int) -> None:
    with pytest.raises(InputError, match=f"tokens {tokens}"):
        training_flops(SMALL, tokens, "exact")


def test_unknown_convention_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'6n'.*exact, chinchilla, kaplan, 6nd"):
        forward_ops(SMALL, "6n")  # type: ignore[arg-type]
