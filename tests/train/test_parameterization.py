"""Coordinate checks: how far features move in a few steps, over widths and depths."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_jax.config import OptimizerConfig, Shape
from scaling_jax.config.parameterization import STANDARD, Parameterization
from scaling_jax.execution import Execution
from scaling_jax.scales import scales_of
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.optimizer import make_optimizer
from scaling_jax.train.schedule import Horizon
from scaling_jax.train.step import init_state, make_step

STEPS = 4
MUP = Parameterization("mup", base_d_model=32, base_head_dim=8)
COMPLETEP = Parameterization("completep", base_d_model=32, base_head_dim=8, base_n_layers=2)


def shape_of(width=32, depth=2, head_dim=8, **variant):
    sizes = dict(n_layers=depth, d_model=width, n_heads=width // head_dim, d_ff=4 * width)
    return Shape(**sizes, vocab_size=64, seq_len=16, **variant)


def spec_of(shape, parameterization=STANDARD, **optimizer):
    known = dict(peak_lr=1e-2, warmup_steps=0, weight_decay=0.0)
    config = OptimizerConfig(**(known | optimizer))
    return ModelSpec(shape, config, "float32", parameterization, Execution(scan_layers=True))


@functools.cache
def movement_program(shape, parameterization, optimizer):
    """Function from a learning rate to how far the residual stream's end moves in a few steps."""
    spec = spec_of(shape, parameterization, name=optimizer)
    graph = nnx.split(nnx.eval_shape(lambda: spec.model(jax.random.key(0))))[0]
    tokens = np.random.default_rng(0).integers(0, 64, (8, 17), np.int32)
    step = make_step(spec)

    def stream(params):
        model = nnx.merge(graph, params)
        return model._run_blocks(model.embed(tokens[:, :-1]), 16)[0]

    def moved(lr):
        horizon = Horizon(lr, *map(jnp.float32, (0, STEPS, 1, 1)))
        first = init_state(spec, jax.random.key(0))
        last, _ = jax.lax.scan(
            lambda state, _: (step(state, tokens, horizon)[0], None), first, length=STEPS
        )
        change = stream(last["params"]) - stream(first["params"])
        return jnp.sqrt(jnp.mean(jnp.square(change)))

    return jax.jit(moved)


def movement(shape, parameterization=STANDARD, optimizer="adamw", lr=1e-2):
    return float(movement_program(shape, parameterization, optimizer)(jnp.float32(lr)))


def test_features_move_alike_at_every_width_under_mup_alone():
    narrow, wide = movement(shape_of()), shape_of(width=256)
    assert movement(wide) / narrow > 2.5
    assert movement(wide, MUP) / narrow == pytest.approx(1, abs=0.25)


def test_features_of_experts_move_alike_at_every_width_under_mup():
    narrow, wide = (shape_of(width, n_experts=4, capacity=4) for width in (32, 256))
    assert movement(wide, MUP) / movement(narrow) == pytest.approx(1, abs=0.25)


def test_features_move_alike_at_every_width_with_muon_under_mup():
    narrow, wide = movement(shape_of(), optimizer="muon"), shape_of(width=256)
    assert movement(wide, MUP, optimizer="muon") / narrow == pytest.approx(1, abs=0.1)


def test_features_move_alike_at_every_depth_under_completep_alone():
    shallow, deep = movement(shape_of(), lr=3e-3), shape_of(depth=32)
    assert movement(deep, MUP, lr=3e-3) / shallow > 2.5
    assert movement(deep, COMPLETEP, lr=3e-3) / shallow == pytest.approx(1, abs=0.1)


def first_update(shape, parameterization=STANDARD, **optimizer):
    """Parameters, gradients and the first update of an optimizer without momentum, in NumPy."""
    known = dict(peak_lr=1e-2, warmup_steps=0, clip_norm=1e9, beta1=0.0)
    transformation = make_optimizer(OptimizerConfig(**(known | optimizer)), shape, parameterization)
    dims = {
        "embedding": (64, 8),
        "blocks": {
            "qkv": (2, 8, 2, 3, 4),
            "down": (2, 32, 8),
            "expert_up": (2, 3, 8, 1, 16),
            "router": (2, 8, 3),
            "norm": {"gain": (2, 8)},
        },
        "final_norm": {"gain": (8,)},
    }
    rng = np.random.default_rng(0)
    params, grads = (
        jax.tree.map(lambda d: rng.normal(size=d).astype(np.float32), dims, is_leaf=is_dims)
        for _ in range(2)
    )

    @jax.jit
    def update(params, grads):
        with jax.numpy_dtype_promotion("standard"):
            return transformation.update(grads, transformation.init(params), params)[0]

    return params, grads, jax.tree.map(np.asarray, update(params, grads))


def is_dims(value):
    return isinstance(value, tuple)


@pytest.mark.parametrize(
    ("optimizer", "hidden"), [("adam", 0.25), ("adafactor", 0.25), ("muon", 0.5)]
)
def test_learning_rates_follow_the_width_in_hidden_matrices_alone(optimizer, hidden):
    shape, known = shape_of(width=128), dict(name=optimizer, weight_decay=0.0)
    standard, mup = (first_update(shape, rule, **known)[2] for rule in (STANDARD, MUP))
    # Routers follow the width as Adam's matrices do.
    factors = {"qkv": hidden, "down": hidden, "expert_up": hidden, "router": 0.25}
    for name, factor in factors.items():
        mine, theirs = (tree["blocks"].pop(name) for tree in (mup, standard))
        np.testing.assert_allclose(mine, factor * theirs, rtol=2e-3, atol=1e-5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3), mup, standard)


def test_adams_epsilon_follows_width_and_depth():
    # Without momentum Adam's first update is g / (|g| + epsilon).
    shape, eps = shape_of(width=64, depth=8), 0.5
    _, grads, updates = first_update(shape, COMPLETEP, name="adam", weight_decay=0.0, eps=eps)
    g = grads["blocks"]["down"]
    expected = 0.5 * g / (np.abs(g) + eps / (2 * 4))
    np.testing.assert_allclose(updates["blocks"]["down"], expected, rtol=1e-3)
    # Gains inside blocks too (AdamW epsilon of residual blocks, table 1 of 2505.01618).
    g = grads["blocks"]["norm"]["gain"]
    expected = g / (np.abs(g) + eps / (2 * 4))
    np.testing.assert_allclose(updates["blocks"]["norm"]["gain"], expected, rtol=1e-3)
    for outside in (("embedding",), ("final_norm", "gain")):
        g, update = (functools.reduce(dict.__getitem__, outside, tree) for tree in (grads, updates))
        np.testing.assert_allclose(update, g / (np.abs(g) + eps / 2), rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
def test_matrices_decay_at_one_rate_at_every_size_and_gains_do_not(optimizer):
    shape, known = shape_of(width=64, depth=4), dict(name=optimizer)
    params, _, plain = first_update(shape, COMPLETEP, weight_decay=0.0, **known)
    decayed = first_update(shape, COMPLETEP, weight_decay=0.5, **known)[2]
    change = jax.tree.map(np.subtract, decayed, plain)
    for tree, weights in ((change, params), (change["blocks"], params["blocks"])):
        for name in tree.keys() - {"blocks", "norm", "final_norm"}:
            np.testing.assert_allclose(tree[name], 0.5 * weights[name], atol=1e-5)
    assert not change["final_norm"]["gain"].any()
    assert not change["blocks"]["norm"]["gain"].any()


def test_multipliers_act_where_the_table_says():
    """Folded into the parameters, they leave a standard model of the same logits."""
    shape = shape_of(width=64, depth=4, head_dim=16)
    scales, key, tokens = scales_of(COMPLETEP, shape), jax.random.key(0), np.arange(16)[None]
    models = {
        rule: nnx.split(nnx.eval_shape(lambda rule=rule: spec_of(shape, rule).model(key)))
        for rule in (STANDARD, COMPLETEP)
    }
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda a: rng.normal(scale=0.2, size=a.shape).astype(np.float32),
        nnx.to_pure_dict(models[COMPLETEP][1]),
    )

    def logits(rule, params):
        run = jax.jit(lambda p: nnx.merge(models[rule][0], p)(tokens))
        return run(params)

    folded = jax.tree.map(np.copy, params)
    root = (32 / 64) ** 0.5
    folded["embedding"] *= root
    folded["final_norm"]["gain"] *= scales.logits / root
    folded["blocks"]["attention"]["qkv"][:, :, :, 0] *= scales.scores
    for part, name in {"attention": "out", "feed_forward": "down"}.items():
        folded["blocks"][part][name] *= scales.branch
    wanted = logits(STANDARD, folded)
    np.testing.assert_allclose(logits(COMPLETEP, params), wanted, rtol=1e-4, atol=1e-5)
    assert np.abs(wanted - logits(STANDARD, params)).max() > 0.1


def test_at_the_base_size_all_three_are_the_same():
    standard, mup, completep = (scales_of(p, shape_of()) for p in (STANDARD, MUP, COMPLETEP))
    assert standard == mup == completep


def test_scales_of_a_larger_model():
    shape = shape_of(width=128, depth=8, head_dim=32)
    mup, completep = scales_of(MUP, shape), scales_of(COMPLETEP, shape)
    assert (mup.table_fan_in, mup.logits, mup.scores, mup.branch) == (32, 0.25, 0.5, 1)
    assert (completep.logits, completep.scores, completep.branch) == (0.25, 0.5, 0.25)
    assert (mup.init_layers, completep.init_layers) == (8, 2)
