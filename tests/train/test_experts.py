"""A mixture of experts in the training step: its balance, its microbatches, its packed runs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.config import OptimizerConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.train import Execution, MeshSpec
from scaling_jax.train import mesh as layout
from scaling_jax.train.model_loss import ModelSpec, make_loss
from scaling_jax.train.step import init_state, make_gradient

SHAPE = Shape(
    n_layers=2,
    d_model=16,
    n_heads=4,
    d_ff=24,
    vocab_size=64,
    seq_len=16,
    n_experts=4,
    experts_per_token=2,
    capacity=0.75,
)
TOKENS = np.random.default_rng(0).integers(0, 64, (8, 17), np.int32)


def spec_of(weight=0.01, precision="float32", **execution):
    optimizer = OptimizerConfig(1e-2, 5, balance_weight=weight)
    known = {"scan_layers": True}  # It compiles faster.
    return ModelSpec(SHAPE, optimizer, precision, execution=Execution(**known | execution))


@functools.cache
def params_of(seed=0):
    return jax.jit(lambda key: init_state(spec_of(), key)["params"])(jax.random.key(seed))


@functools.cache
def program(**options):
    return jax.jit(make_gradient(spec_of(**options)))


@functools.cache
def gradient(**options):
    """Loss and gradient of the first parameters on the batch."""
    return program(**options)(params_of(), TOKENS)


def check_same(ours, expected, rtol=1e-4):
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-6)
    for mine, other in zip(*map(jax.tree.leaves, (ours[1], expected[1])), strict=True):
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=1e-6)


def test_the_balance_is_in_the_gradient_and_not_in_the_loss():
    (loss, without), (same, with_it) = gradient(weight=0.0), gradient(weight=1.0)
    evaluated = jax.jit(make_loss(spec_of(weight=1.0)))(params_of(), TOKENS)
    assert float(loss) == float(same) == pytest.approx(float(evaluated.mean()), rel=1e-5)
    routers = [grads["blocks"]["feed_forward"]["router"] for grads in (without, with_it)]
    assert np.abs(routers[0]).max(axis=(1, 2)).min() > 1e-5
    assert np.abs(routers[1] - routers[0]).max(axis=(1, 2)).min() > 1e-3


def test_microbatches_and_recomputation_change_nothing():
    options = {"accumulate": 4, "remat": "full"}
    check_same(gradient(weight=1.0, **options), gradient(weight=1.0))


def test_bfloat16_stays_close():
    spec = spec_of(precision="bfloat16")
    rounded = float(jax.jit(make_loss(spec))(params_of(), TOKENS).mean())
    assert rounded == pytest.approx(float(gradient(weight=1.0)[0]), rel=0.02)
    _, grads = jax.eval_shape(make_gradient(spec), params_of(), TOKENS)
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}


def test_packed_runs_over_devices_are_what_each_is_alone():
    packed = jax.tree.map(lambda *leaves: jnp.stack(leaves), params_of(0), params_of(1))
    mesh = layout.mesh_for(SHAPE, 8, MeshSpec(replica=2, tensor=2), n_runs=2)
    abstract = layout.state_shardings(params_of(), mesh)
    shaped = jax.tree.map(
        lambda leaf, of: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=of),
        params_of(),
        abstract,
    )
    shardings = jax.tree.map(lambda leaf: leaf.sharding, layout.stacked(shaped, 2))
    both = jax.vmap(make_gradient(spec_of(weight=1.0)), spmd_axis_name="replica")
    tokens = np.stack([TOKENS, TOKENS[::-1]])
    with layout.layout_rules(mesh):
        losses, grads = jax.jit(both)(jax.device_put(packed, shardings), tokens)
    for i in range(2):
        check_same(
            (losses[i], jax.tree.map(lambda leaf, i=i: leaf[i], grads)),
            program(weight=1.0)(params_of(i), tokens[i]),
        )


def test_a_mesh_must_divide_the_experts_and_not_their_width():
    odd = dataclasses.replace(SHAPE, d_ff=25)
    assert layout.mesh_for(odd, 8, MeshSpec(tensor=4)).shape["tensor"] == 4
    with pytest.raises(InputError, match=r"tensor 4 does not divide n_experts 6: .* \[1, 2\]"):
        layout.mesh_for(dataclasses.replace(SHAPE, n_experts=6), 8, MeshSpec(tensor=4))
