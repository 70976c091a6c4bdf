"""Optimizers against what they are known to do on one gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.config import OptimizerConfig, Shape
from scaling_jax.config.parameterization import Parameterization
from scaling_jax.train import MeshSpec
from scaling_jax.train import mesh as layout
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.optimizer import MUON_RMS, make_optimizer
from scaling_jax.train.step import init_state

SHAPE = Shape(n_layers=2, d_model=24, n_heads=4, d_ff=96, vocab_size=64, seq_len=16)
DIMS = {
    "embedding": (64, 24),
    "blocks": {
        "qkv": (2, 24, 4, 3, 6),
        "out": (2, 4, 1, 6, 24),
        "up": (2, 24, 2, 96),
        "down": (2, 96, 24),
        "norm": {"gain": (2, 24)},
    },
}


def random_grads(dims):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda d: rng.normal(size=d).astype(np.float32),
        dims,
        is_leaf=lambda value: isinstance(value, tuple),
    )


def optimizer_of(**optimizer):
    known = dict(peak_lr=1e-2, warmup_steps=0, clip_norm=1e9, weight_decay=0.0)
    return make_optimizer(OptimizerConfig(**(known | optimizer)), SHAPE)


def first_update(dims=DIMS, **optimizer):
    transformation, grads = optimizer_of(**optimizer), random_grads(dims)

    @jax.jit
    def update(grads):
        with jax.numpy_dtype_promotion("standard"):
            return transformation.update(grads, transformation.init(grads), grads)

    updates, state = update(grads)
    return grads, jax.tree.map(np.asarray, updates), state


def test_muon_orthogonalizes_every_matrix_by_itself():
    grads, updates, _ = first_update(name="muon")
    blocks = updates["blocks"]
    matrices = [
        *(blocks["qkv"][layer][:, :, i].reshape(24, 24) for layer in range(2) for i in range(3)),
        *(blocks["out"][layer].reshape(24, 24) for layer in range(2)),
        *(blocks["up"][layer][:, i] for layer in range(2) for i in range(2)),
        *blocks["down"],
    ]
    for matrix in matrices:
        # An orthogonal matrix with Adam's root mean square has these singular values; the
        # iteration leaves them within a factor.
        wanted = MUON_RMS * max(matrix.shape) ** 0.5
        singular = np.linalg.svd(matrix, compute_uv=False) / wanted
        assert singular.max() < 1.35
        assert singular[: len(singular) * 3 // 4].min() > 0.6
        assert np.sqrt(np.mean(matrix**2)) == pytest.approx(MUON_RMS, rel=0.25)
    # The polar factor keeps the gradient's singular vectors.
    down = grads["blocks"]["down"][0]
    u, _, vt = np.linalg.svd(down, full_matrices=False)
    assert np.sum(updates["blocks"]["down"][0] * (u @ vt)) > 0


def test_muon_orthogonalizes_every_expert_by_itself():
    dims = {"blocks": {"expert_up": (2, 3, 24, 2, 48), "expert_down": (2, 3, 48, 24)}}
    _, updates, _ = first_update(dims, name="muon")
    up, down = (updates["blocks"][name] for name in ("expert_up", "expert_down"))
    for matrix in [*up.swapaxes(2, 3).reshape(-1, 24, 48), *down.reshape(-1, 48, 24)]:
        singular = np.linalg.svd(matrix, compute_uv=False) / (MUON_RMS * 48**0.5)
        assert singular.max() < 1.35
        assert singular[:18].min() > 0.6


def test_muon_is_adam_on_tables_gains_and_routers():
    dims = DIMS | {"router": (2, 24, 4)}
    adam, muon = (first_update(dims, name=name)[1] for name in ("adam", "muon"))
    np.testing.assert_allclose(muon["embedding"], adam["embedding"], rtol=1e-6)
    np.testing.assert_allclose(muon["router"], adam["router"], rtol=1e-6)
    gains = [tree["blocks"]["norm"]["gain"] for tree in (muon, adam)]
    np.testing.assert_allclose(*gains, rtol=1e-6)


def test_adafactors_first_update_is_the_gradients_sign():
    grads, updates, _ = first_update(name="adafactor", beta1=0.0)
    np.testing.assert_allclose(updates["embedding"], np.sign(grads["embedding"]), rtol=1e-4)
    slow = first_update(name="adafactor", beta1=0.9)[1]
    np.testing.assert_allclose(slow["embedding"], 0.1 * updates["embedding"], rtol=1e-4)


def test_adafactor_keeps_rows_and_columns_of_large_matrices():
    dims = {"blocks": {"up": (2, 128, 1, 256)}}
    grads, updates, state = first_update(dims, name="adafactor", beta1=0.0)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) < 2 * (128 + 256) + 16
    g2 = grads["blocks"]["up"] ** 2
    rows, columns = g2.mean(3, keepdims=True), g2.mean(1, keepdims=True)
    factored = rows * columns / rows.mean(1, keepdims=True)
    expected = grads["blocks"]["up"] / np.sqrt(factored)
    expected /= max(1, np.sqrt(np.mean(expected**2)))
    np.testing.assert_allclose(updates["blocks"]["up"], expected, rtol=1e-3)


def test_adafactor_takes_the_heads_of_a_layer_for_one_matrix():
    """Whatever their size: none of these axes but the width is long enough by itself."""
    heads, width = {"qkv": (2, 128, 2, 3, 64), "out": (2, 2, 1, 64, 128)}, 128
    _, updates, state = first_update({"blocks": heads}, name="adafactor", beta1=0.0)
    kept = sum(leaf.size for leaf in jax.tree.leaves(state))
    assert kept < 2 * (2 * width + 2 * 3 * 64 + 2 * 64) + 16
    assert {name: update.shape for name, update in updates["blocks"].items()} == heads


@pytest.mark.parametrize("optimizer", ["adafactor", "muon"])
def test_updates_are_the_same_on_a_mesh(optimizer):
    """Adafactor's rows and columns and Muon's products cross the devices' shares."""
    large = {"up": (2, 128, 1, 256), "down": (2, 256, 128)}
    dims = DIMS | {"blocks": large | {"qkv": DIMS["blocks"]["qkv"]}}
    grads, expected, _ = first_update(dims, name=optimizer)
    mesh, transformation = (
        layout.make_mesh(MeshSpec(fsdp=4, tensor=2)),
        optimizer_of(name=optimizer),
    )
    state = jax.eval_shape(transformation.init, grads)
    grads, state = (
        jax.device_put(tree, layout.state_shardings(tree, mesh))
        for tree in (grads, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state))
    )

    @jax.jit
    def update(grads):
        with jax.numpy_dtype_promotion("standard"):
            first = transformation.init(grads)
            kept = jax.lax.with_sharding_constraint(
                first, jax.tree.map(lambda x: x.sharding, state)
            )
            return transformation.update(grads, kept, grads)[0]

    jax.tree.map(
        lambda mine, alone: np.testing.assert_allclose(mine, alone, rtol=1e-4, atol=1e-5),
        update(grads),
        expected,
    )


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({}, (0.1, 0.1, 0.0)),
        ({"weight_decay_tables": 0.0}, (0.1, 0.0, 0.0)),
        ({"weight_decay": 0.0, "weight_decay_gains": 0.3}, (0.0, 0.0, 0.3)),
    ],
)
def test_each_group_of_parameters_has_its_own_weight_decay(knobs, expected):
    params = {
        "embedding": jnp.ones((4, 2)),
        "final_norm": {"gain": jnp.ones(2)},
        "blocks": {"feed_forward": {"up": jnp.ones((1, 2, 1, 4))}},
    }
    optimizer = make_optimizer(OptimizerConfig(1e-2, 0, **knobs), SHAPE)
    still = jax.tree.map(jnp.zeros_like, params)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimizer.update(still, optimizer.init(params), params)
    groups = updates["blocks"]["feed_forward"]["up"], updates["embedding"], updates["final_norm"]
    each = [np.unique(jax.tree.leaves(group)[0]) for group in groups]
    np.testing.assert_allclose(np.concatenate(each), expected, rtol=1e-6)


def test_the_initial_scale_multiplies_matrices_and_tables_and_no_gain():
    def initial(parameterization):
        spec = ModelSpec(SHAPE, OptimizerConfig(1e-2, 0), "float32", parameterization)
        return jax.jit(lambda: init_state(spec, jax.random.key(0))["params"])()

    once = initial(Parameterization())
    for path, half in jax.tree_util.tree_leaves_with_path(
        initial(Parameterization(init_scale=0.5))
    ):
        whole = once
        for key in path:
            whole = whole[key.key]
        np.testing.assert_array_equal(half, whole if "gain" in path[-1].key else 0.5 * whole)
