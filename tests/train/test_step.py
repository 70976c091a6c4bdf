"""One step against plain AdamW, and what a dispatch of several does."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_run
from jax.extend import core
from jax.sharding import NamedSharding, PartitionSpec

from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.train import Execution, MeshSpec
from scaling_jax.train.mesh import make_mesh
from scaling_jax.train.model_loss import ModelSpec, make_loss
from scaling_jax.train.programs import programs
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import init_state, make_step

ONE_DEVICE = make_mesh(devices=jax.devices()[:1])


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
    state = compiled.pack(compiled.init(jax.random.key(0)))
    state, metrics = compiled.train(state, tokens, jnp.int32(3), Horizon.of(config))
    assert int(state["step"]) == 3
    assert np.isfinite(metrics.loss[:3]).all()
    assert np.isnan(metrics.loss[3:]).all()


def test_runs_that_differ_in_the_horizon_share_programs(text):
    short, long = small_run(text, steps=30), small_run(text, steps=60, optimizer={"peak_lr": 1e-3})
    assert programs(short, ONE_DEVICE, 1) is programs(long, ONE_DEVICE, 1)


@pytest.mark.parametrize(("optimizer", "is_apart"), [("adamw", True), ("muon", False)])
def test_a_state_is_what_it_was_after_training_holds_its_layers_its_own_way(
    text, optimizer, is_apart
):
    compiled = programs(small_run(text, optimizer={"name": optimizer}), ONE_DEVICE, 1, n_runs=2)
    state, other = map(compiled.init, jax.random.split(jax.random.key(0)))
    packed = compiled.pack(state, other)
    assert (0 in packed["params"]["blocks"]) == is_apart
    jax.tree.map(np.testing.assert_array_equal, compiled.unpack(packed, 0), state)


def test_layers_apart_lie_as_they_do_together(text):
    mesh = make_mesh(MeshSpec(data=2, fsdp=2, tensor=2), jax.devices()[:8])
    config = small_run(text, shape={"n_heads": 4})
    compiled = programs(config, mesh, 1, Execution(scan_layers=False))
    state = compiled.init(jax.random.key(0))
    first = compiled.pack(state)["params"]["blocks"][0]
    assert any("fsdp" in leaf.sharding.spec for leaf in jax.tree.leaves(first))
    for apart, stacked in zip(
        *map(jax.tree.leaves, (first, state["params"]["blocks"])), strict=True
    ):
        wanted = NamedSharding(mesh, PartitionSpec(*stacked.sharding.spec[1:]))
        assert apart.sharding.is_equivalent_to(wanted, apart.ndim)


def product_precisions(jaxpr):
    """The precision of every matrix product in a traced program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for value in equation.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                if isinstance(item, core.ClosedJaxpr | core.Jaxpr):
                    yield from product_precisions(getattr(item, "jaxpr", item))


@pytest.mark.parametrize("name", ["adamw", "muon"])
@pytest.mark.parametrize(
    "execution",
    [
        Execution(attention="xla", scan_layers=True, remat="full"),
        Execution(attention="blocks", scan_layers=False, loss_chunks=4),
        Execution(attention="splash", accumulate=2),
    ],
    ids=lambda execution: execution.attention,
)
def test_every_product_of_a_float32_step_is_in_float32_on_accelerators(name, execution):
    shape = Shape(n_layers=2, d_model=32, n_heads=2, d_ff=64, vocab_size=64, seq_len=128)
    highest = (jax.lax.Precision.HIGHEST,) * 2

    def precisions(precision):
        spec = ModelSpec(shape, OptimizerConfig(1e-2, 0, name=name), precision, execution=execution)
        state = jax.eval_shape(lambda: init_state(spec, jax.random.key(0)))
        horizon = Horizon(*map(jnp.float32, (1e-2, 0, 10, 1, 1)))
        tokens = jax.ShapeDtypeStruct((4, 129), jnp.int32)
        return list(
            product_precisions(jax.make_jaxpr(make_step(spec))(state, tokens, horizon).jaxpr)
        )

    exact, fast = precisions("float32"), precisions("float32_fast")
    assert len(exact) == len(fast) > 10
    assert set(exact) == {highest}
    assert highest not in fast
    assert highest not in precisions("bfloat16")


def test_the_fast_form_of_float32_is_a_run_of_its_own():
    run = RunConfig(
        Shape(n_layers=1, d_model=8, n_heads=1, d_ff=8, vocab_size=8, seq_len=8),
        DataConfig(),
        OptimizerConfig(1e-3, 1),
        *(6, 10, 1024),
    )
    fast = replace(run, precision="float32_fast")
    assert fast.run_id != run.run_id
    assert RunConfig.from_json(fast.to_json()) == fast
    # The numbers themselves are float32 under both.
    for config in (run, fast):
        spec = ModelSpec(config.shape, config.optimizer, config.precision)
        assert spec.model(jax.random.key(0)).dtype == jnp.float32
