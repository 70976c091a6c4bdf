"""The transformer against a slow NumPy one, causality, and scale at initialization."""

import importlib.util
import itertools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_jax.config import Shape
from scaling_jax.model import Transformer, init, token_losses

_spec = importlib.util.spec_from_file_location(
    "numpy_transformer", Path(__file__).with_name("numpy_transformer.py")
)
numpy_transformer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(numpy_transformer)

VARIANTS = {
    "default": {},
    "learned": {"positions": "learned"},
    "swiglu": {"activation": "swiglu"},
    "untied": {"tied_embedding": False},
    "qk_norm": {"qk_norm": True},
    "grouped": {"n_kv_heads": 2},
    "one_kv_head": {"n_kv_heads": 1},
    "wide_heads": {"head_dim": 12},
    "all": {
        "positions": "learned",
        "activation": "swiglu",
        "tied_embedding": False,
        "qk_norm": True,
        "n_kv_heads": 2,
    },
}


def make(seed=0, dtype=jnp.float32, scan_layers=False, **changes):
    dims = dict(n_layers=2, d_model=32, n_heads=4, d_ff=48, vocab_size=37, seq_len=16)
    shape = Shape(**(dims | changes))
    rngs = nnx.Rngs(params=jax.random.key(seed))
    return Transformer(shape, rngs=rngs, dtype=dtype, scan_layers=scan_layers)


def random_gains(model, seed=1):
    """Gains start at one; make them differ so that a test can see a misplaced gain."""
    graph, params = nnx.split(model)
    rng = np.random.default_rng(seed)
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: x * jnp.asarray(rng.uniform(0.5, 1.5, x.shape), x.dtype)
        if "gain" in jax.tree_util.keystr(path)
        else x,
        params,
    )
    return nnx.merge(graph, params)


def tokens_of(shape, batch=3, seed=0):
    return np.random.default_rng(seed).integers(0, shape.vocab_size, (batch, shape.seq_len))


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_a_plain_numpy_forward(variant):
    model = random_gains(make(**VARIANTS[variant]))
    tokens = tokens_of(model.shape)
    params = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.split(model)[1]))
    expected = np.stack([numpy_transformer.forward(model.shape, params, row) for row in tokens])
    np.testing.assert_allclose(model(tokens), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_scanned_layers_equal_unrolled_ones(variant):
    unrolled = random_gains(make(**VARIANTS[variant]))
    graph, params = nnx.split(make(**VARIANTS[variant], scan_layers=True))
    scanned = nnx.merge(graph, nnx.split(unrolled)[1])
    tokens = tokens_of(unrolled.shape)
    np.testing.assert_allclose(scanned(tokens), unrolled(tokens), atol=1e-5)


@pytest.mark.parametrize("variant", ["default", "all"])
def test_a_position_depends_on_itself_and_the_past_alone(variant):
    model = make(**VARIANTS[variant])
    tokens = jnp.asarray(tokens_of(model.shape, batch=1))
    position = 7

    def outcome(shift_TxD):
        x_NxD = model.embed(tokens) + shift_TxD
        return model._run_blocks(x_NxD, model.shape.seq_len)[position].sum()

    gradient = np.asarray(jax.grad(outcome)(jnp.zeros_like(model.embed(tokens))))
    touched = np.abs(gradient).max(axis=1)
    assert (touched[: position + 1] > 0).all()
    assert (touched[position + 1 :] == 0).all()


def test_a_shorter_text_gives_the_same_logits():
    model = make()
    tokens = tokens_of(model.shape)
    np.testing.assert_allclose(model(tokens[:, :9]), model(tokens)[:, :9], atol=1e-5)


def test_bfloat16_compute_stays_close_to_float32():
    tokens = tokens_of(make().shape)
    exact, rounded = make()(tokens), make(dtype=jnp.bfloat16)(tokens)
    assert rounded.dtype == jnp.float32
    assert float(jnp.abs(exact - rounded).max()) < 0.15
    assert float(jnp.abs(exact - rounded).mean()) > 0


GRID = list(itertools.product([1, 4, 24], [32, 128, 512], ["gelu", "swiglu"], [True, False]))


@pytest.mark.parametrize(("n_layers", "d_model", "activation", "tied"), GRID)
def test_activations_start_at_unit_scale_at_any_depth_and_width(
    n_layers, d_model, activation, tied
):
    shape = Shape(
        n_layers=n_layers,
        d_model=d_model,
        n_heads=d_model // 16,
        d_ff=4 * d_model,
        vocab_size=512,
        seq_len=32,
        activation=activation,
        tied_embedding=tied,
    )
    model = Transformer(shape, rngs=nnx.Rngs(params=jax.random.key(0)), scan_layers=True)
    tokens = tokens_of(shape, batch=4)
    entering_NxD = model.embed(tokens)
    leaving_NxD = model._run_blocks(entering_NxD, shape.seq_len)
    assert rms(entering_NxD) == pytest.approx(1, abs=0.15)
    # The branches add at most unit variance to the stream's one, however many there are.
    assert 0.95 < rms(leaving_NxD) < math.sqrt(2) * 1.15
    # A tied output starts by recognizing the input token itself; all others are at unit scale.
    others = np.arange(shape.vocab_size) != tokens[..., None]
    assert rms(model(tokens)[others]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
def test_the_activation_gain_restores_unit_scale(activation):
    x = np.linspace(-12, 12, 200_001)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    f = jax.nn.silu if activation == "swiglu" else jax.nn.gelu
    second_moment = np.trapezoid(np.asarray(f(jnp.float32(x)), np.float64) ** 2 * density, x)
    assert init.activation_gain(activation) == pytest.approx(second_moment**-0.5, rel=1e-4)


def test_token_losses_are_negative_log_probabilities():
    logits = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    targets = np.array([[0, 1, 4], [2, 2, 3]])
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(np.take_along_axis(probabilities, targets[..., None], -1))[..., 0]
    np.testing.assert_allclose(token_losses(jnp.asarray(logits), targets), expected, rtol=1e-5)


def rms(x):
    return float(jnp.sqrt(jnp.mean(jnp.square(x))))
