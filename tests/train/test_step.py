"""One step against plain AdamW, and one program on one device against eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_run

from scaling_jax.errors import InputError
from scaling_jax.train.mesh import batch_sharding, check_batch, make_mesh
from scaling_jax.train.programs import programs
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import ModelSpec, make_loss, make_step

ONE_DEVICE = make_mesh(devices=jax.devices()[:1])

VARIANTS = {
    "default": {},
    "everything_else": {
        "positions": "learned",
        "activation": "swiglu",
        "tied_embedding": False,
        "qk_norm": True,
        "n_kv_heads": 1,
    },
}


def losses_on(mesh, config, n_dispatches=3):
    compiled = programs(config, mesh, 1)
    state = compiled.init(jax.random.key(config.seed))
    rng = np.random.default_rng(0)
    k, t1 = compiled.steps_per_dispatch, config.shape.seq_len + 1
    horizon, curve = Horizon.of(config), []
    for _ in range(n_dispatches):
        tokens = rng.integers(0, 256, (k, config.batch_size, t1), np.int32)
        tokens_KxBxT1 = jax.device_put(tokens, batch_sharding(mesh))
        state, metrics = compiled.train(state, tokens_KxBxT1, jnp.int32(k), horizon)
        curve += np.asarray(metrics.loss).tolist()
    return np.array(curve)


# Replicated, split over both axes and split over one; each compiles for a while.
@pytest.mark.parametrize(
    ("variant", "fsdp"),
    [("default", 1), ("default", 8), ("everything_else", 4), ("everything_else", 8)],
)
def test_eight_devices_give_the_losses_of_one(text, variant, fsdp):
    config = small_run(text, shape=VARIANTS[variant])
    alone = losses_on(ONE_DEVICE, config)
    together = losses_on(make_mesh(fsdp=fsdp), config)
    # Sums are taken in another order: a few float32 ulps a step, amplified by 48 updates.
    np.testing.assert_allclose(together, alone, rtol=2e-4)
    assert alone[-1] != alone[0]


def test_fsdp_splits_the_parameters_over_the_devices(text):
    compiled = programs(small_run(text), make_mesh(fsdp=8), 1)
    up = compiled.init(jax.random.key(0))["params"]["blocks"]["feed_forward"]["up"]
    assert up.addressable_shards[0].data.size * 8 == up.size


def test_one_update_is_clipped_adamw(text):
    config = small_run(text, optimizer={"clip_norm": 0.5, "weight_decay": 0.2, "peak_lr": 1e-2})
    spec = ModelSpec(config.shape, config.optimizer, "float32")
    state = programs(small_run(text), ONE_DEVICE, 1).init(jax.random.key(0))
    tokens = np.random.default_rng(0).integers(0, 256, (8, 33), np.int32)
    loss_B = make_loss(spec)
    grads = jax.jit(jax.grad(lambda p: loss_B(p, tokens).mean()))(state["params"])
    new, metrics = jax.jit(make_step(spec))(state, jnp.asarray(tokens), Horizon.of(config))

    norm = np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(grads)))
    assert float(metrics.grad_norm) == pytest.approx(norm, rel=1e-4)
    assert norm > 0.5
    lr = float(metrics.lr)
    w, g = state["params"]["embedding"], grads["embedding"] * jnp.float32(0.5 / norm)
    # The first Adam update is the gradient's sign, up to eps.
    expected = w - lr * (g / (jnp.abs(g) + 1e-8) + 0.2 * w)
    np.testing.assert_allclose(new["params"]["embedding"], expected, atol=2e-5)
    gain, gain_g = state["params"]["final_norm"]["gain"], grads["final_norm"]["gain"]
    expected_gain = gain - lr * jnp.sign(gain_g)
    np.testing.assert_allclose(new["params"]["final_norm"]["gain"], expected_gain, atol=2e-5)


def test_a_dispatch_takes_only_the_steps_it_is_told_to(text):
    config = small_run(text)
    compiled = programs(config, ONE_DEVICE, 1)
    k = compiled.steps_per_dispatch
    tokens = np.random.default_rng(0).integers(0, 256, (k, 8, 33), np.int32)
    state = compiled.init(jax.random.key(0))
    state, metrics = compiled.train(state, tokens, jnp.int32(3), Horizon.of(config))
    assert int(state["step"]) == 3
    assert np.isfinite(metrics.loss[:3]).all()
    assert np.isnan(metrics.loss[3:]).all()


def test_runs_that_differ_in_the_horizon_share_programs(text):
    short, long = small_run(text, steps=30), small_run(text, steps=60, optimizer={"peak_lr": 1e-3})
    assert programs(short, ONE_DEVICE, 1) is programs(long, ONE_DEVICE, 1)


def test_a_mesh_or_batch_that_does_not_divide_is_refused():
    with pytest.raises(InputError, match=r"fsdp 3 does not divide 8 devices.*\[1, 2, 4, 8\]"):
        make_mesh(fsdp=3)
    with pytest.raises(InputError, match=r"batch_size 12 does not divide over 8 devices.*8 or 16"):
        check_batch(12, make_mesh())
