"""The mixture of experts against every expert on every row, its gradients and its balance."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.config.parameterization import STANDARD
from scaling_jax.model.layers import feed_forward
from scaling_jax.model.moe import Experts, balance, choices
from scaling_jax.scales import scales_of

T, B = 12, 3
run_once = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def shape_of(**changes):
    dims = dict(n_layers=1, d_model=16, n_heads=2, d_ff=24, vocab_size=8, seq_len=T)
    return Shape(**(dims | {"n_experts": 4} | changes))


def experts_of(shape):
    return Experts(shape, scales_of(STANDARD, shape), rngs=nnx.Rngs(0))


@functools.cache
def layer_program(shape):
    """Function from rows to what the layer makes of them and its balance."""
    graph, state = nnx.split(experts_of(shape))
    program = run_once(lambda state, x_NxD: nnx.merge(graph, state)(x_NxD, T))
    return functools.partial(program, state)


def rows(seed=0, d=16):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(B * T, d)), jnp.float32)


def every_expert_on_every_row(shape, params, x_NxD):
    """What the layer is, without rows being moved anywhere."""
    probability = jax.nn.softmax(x_NxD @ params["router"]).reshape(B, T, -1)
    chosen = probability >= jnp.sort(probability)[..., -shape.experts_per_token, None]
    in_time = jnp.cumsum(chosen, axis=1) <= shape.expert_rows(T)
    weight = jnp.where(chosen, probability, 0.0)
    if shape.experts_per_token > 1:
        weight = weight / weight.sum(-1, keepdims=True)
    weight_NxE = jnp.where(in_time, weight, 0.0).reshape(B * T, -1)
    matrices = zip(params["expert_up"], params["expert_down"], strict=True)
    made = [feed_forward(x_NxD, up, down) for up, down in matrices]
    return sum(weight_NxE[:, i, None] * y_NxD for i, y_NxD in enumerate(made)), in_time.all()


@pytest.mark.parametrize(
    "changes",
    [
        {"capacity": 0.5},
        {"capacity": 4.0, "experts_per_token": 2, "activation": "swiglu"},
        {"capacity": 0.75, "experts_per_token": 2},
    ],
    ids=["some passed by", "two, room for all", "two, some passed by"],
)
def test_it_and_its_gradients_are_those_of_every_expert_on_every_row(changes):
    shape, x_NxD = shape_of(**changes), rows()
    graph, state = nnx.split(experts_of(shape))
    params, direction_NxD = nnx.to_pure_dict(state), rows(1)

    def ours(params, x_NxD):
        y_NxD, _ = nnx.merge(graph, params)(x_NxD, T)
        return (y_NxD * direction_NxD).sum(), y_NxD

    def plainly(params, x_NxD):
        y_NxD, all_in = every_expert_on_every_row(shape, params, x_NxD)
        return (y_NxD * direction_NxD).sum(), (y_NxD, all_in)

    (_, y), grads = run_once(jax.value_and_grad(ours, (0, 1), has_aux=True))(params, x_NxD)
    (_, (expected, all_in)), expected_grads = run_once(
        jax.value_and_grad(plainly, (0, 1), has_aux=True)
    )(params, x_NxD)
    assert bool(all_in) == (shape.capacity == 4)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-4, rtol=1e-4), grads, expected_grads
    )
    assert np.abs(grads[0]["router"]).max() > 1e-3


def test_a_sequence_is_what_it_is_whatever_shares_its_batch():
    layer = layer_program(shape_of(capacity=0.5))
    with_some, others = rows(), rows(1)
    with_others = jnp.concatenate([others[T : 2 * T], with_some[:T], others[2 * T :]])
    (one, balance_B), (other, other_balance_B) = layer(with_some), layer(with_others)
    np.testing.assert_allclose(one[:T], other[T : 2 * T], atol=1e-6)
    np.testing.assert_allclose(balance_B[0], other_balance_B[1], rtol=1e-6)
    assert np.abs(one[T : 2 * T] - other[T : 2 * T]).max() > 0.01


def test_who_comes_when_the_rows_are_taken_gets_nothing():
    shape = shape_of(capacity=0.5)
    x_NxD = jnp.tile(rows()[:1], (B * T, 1))  # All choose the same expert.
    y_BxTxD = np.asarray(layer_program(shape)(x_NxD)[0]).reshape(B, T, -1)
    n_rows = shape.expert_rows(T)
    assert n_rows == 2  # 0.5 * 12 / 4, rounded up
    np.testing.assert_allclose(y_BxTxD[:, :n_rows], y_BxTxD[:1, :1].repeat(B, 0).repeat(2, 1))
    assert np.abs(y_BxTxD[:, :n_rows]).min() > 0
    assert not y_BxTxD[:, n_rows:].any()


def test_balance_is_one_for_even_use_and_the_number_of_experts_for_one():
    e = 4
    even = jax.nn.one_hot(jnp.arange(8) % e, e)[None]
    one = jax.nn.one_hot(jnp.zeros(8, int), e)[None]
    undecided = jnp.full((1, 8, e), 1 / e)
    for probability, expected in ((even, 1), (one, e), (undecided, 1)):
        assert float(balance(probability, choices(probability, 1))[0]) == pytest.approx(expected)
    # Two of four each, all alike.
    halves = (even + jnp.roll(even, 1, axis=-1)) / 2
    assert float(balance(halves, choices(halves, 2))[0]) == pytest.approx(1)


def test_choices_are_the_most_probable_in_order():
    probability = jnp.asarray([[[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]]])
    best = choices(probability, 2).argmax(-1)
    assert best.tolist() == [[[1, 3], [0, 1]]]
