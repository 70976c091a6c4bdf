"""The transformer against a slow NumPy one, causality, and scale at initialization."""

import functools
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
from scaling_jax.model.stacking import unstack_layers

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
    "experts": {"n_experts": 4, "capacity": 0.75},
    "two_of_five_experts": {"n_experts": 5, "experts_per_token": 2, "activation": "swiglu"},
}


# A program that runs once costs more to compile than to run.
run_once = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def shape_of(variant="default"):
    dims = dict(n_layers=2, d_model=32, n_heads=4, d_ff=48, vocab_size=37, seq_len=16)
    return Shape(**(dims | VARIANTS[variant]))


def make(variant="default", change=lambda params: params, **options):
    """The variant's model, its parameters initialized alike whatever the options, then changed."""

    def build():
        return Transformer(shape_of(variant), rngs=nnx.Rngs(0), **options)

    params = change(initial_params(variant))
    if not options.get("scan_layers"):
        params = unstack_layers(params)
    return nnx.merge(nnx.split(nnx.eval_shape(build))[0], params)


@functools.cache
def initial_params(variant):
    """Initial parameters with stacked layers."""

    def params(key):
        model = Transformer(shape_of(variant), rngs=nnx.Rngs(params=key), scan_layers=True)
        return nnx.to_pure_dict(nnx.split(model)[1])

    return run_once(params)(jax.random.key(0))


def logits_of(model, tokens):
    graph, params = nnx.split(model)
    return run_once(lambda params: nnx.merge(graph, params)(tokens))(params)


@functools.cache
def unrolled_logits(variant):
    model = make(variant, random_gains)
    return logits_of(model, tokens_of(model.shape))


def random_gains(params):
    """Gains start at one; make them differ so that a test can see a misplaced gain."""
    rng = np.random.default_rng(1)
    return jax.tree_util.tree_map_with_path(
        lambda path, x: (
            x * jnp.asarray(rng.uniform(0.5, 1.5, x.shape), x.dtype)
            if "gain" in jax.tree_util.keystr(path)
            else x
        ),
        params,
    )


def tokens_of(shape, batch=3, seed=0):
    return np.random.default_rng(seed).integers(0, shape.vocab_size, (batch, shape.seq_len))


@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_a_plain_numpy_forward(variant):
    params = jax.tree.map(np.asarray, random_gains(initial_params(variant)))
    shape = shape_of(variant)
    tokens = tokens_of(shape)
    expected = np.stack([numpy_transformer.forward(shape, params, row) for row in tokens])
    np.testing.assert_allclose(unrolled_logits(variant), expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_scanned_layers_equal_unrolled_ones(variant):
    scanned = make(variant, random_gains, scan_layers=True)
    logits = logits_of(scanned, tokens_of(scanned.shape))
    np.testing.assert_allclose(logits, unrolled_logits(variant), atol=1e-5)


@pytest.mark.parametrize("variant", ["default", "all", "experts", "two_of_five_experts"])
def test_a_position_depends_on_itself_and_the_past_alone(variant):
    model = make(variant)
    tokens = jnp.asarray(tokens_of(model.shape, batch=1))
    position = 7

    def outcome(shift_TxD):
        x_NxD = model.embed(tokens) + shift_TxD
        return model._run_blocks(x_NxD, model.shape.seq_len)[0][position].sum()

    shift_TxD = jnp.zeros((model.shape.seq_len, model.shape.d_model))
    touched = np.abs(run_once(jax.grad(outcome))(shift_TxD)).max(axis=1)
    assert (touched[: position + 1] > 0).all()
    assert (touched[position + 1 :] == 0).all()


def test_a_shorter_text_gives_the_same_logits():
    model = make()
    tokens = tokens_of(model.shape)
    whole = logits_of(model, tokens)
    np.testing.assert_allclose(logits_of(model, tokens[:, :9]), whole[:, :9], atol=1e-5)


def test_bfloat16_compute_stays_close_to_float32():
    tokens = tokens_of(shape_of())
    exact = logits_of(make(), tokens)
    rounded = logits_of(make(dtype=jnp.bfloat16), tokens)
    assert rounded.dtype == jnp.float32
    assert float(jnp.abs(exact - rounded).max()) < 0.15
    assert float(jnp.abs(exact - rounded).mean()) > 0


SWITCHES = list(itertools.product(["gelu", "swiglu"], [True, False]))
SIZES = list(itertools.product([1, 4, 24], [32, 128, 512]))
# Every size under one pair of switches, and two sizes far apart under all of them.
GRID = sorted(
    {(*size, *SWITCHES[i % len(SWITCHES)]) for i, size in enumerate(SIZES)}
    | {(*size, *switches) for size in ((1, 128), (24, 32)) for switches in SWITCHES}
)


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
    tokens = tokens_of(shape, batch=4)
    # A tied output starts by recognizing the input token itself; all others are at unit scale.
    others = np.arange(shape.vocab_size) != tokens[..., None]

    def scales(key):
        model = Transformer(shape, rngs=nnx.Rngs(params=key), scan_layers=True)
        entering_NxD = model.embed(tokens)
        leaving_NxD, _ = model._run_blocks(entering_NxD, shape.seq_len)
        return rms(entering_NxD), rms(leaving_NxD), rms(model(tokens), where=others)

    # Millions of random numbers are worth compiling for, and this generator compiles fastest.
    program = (jax.jit if n_layers * d_model**2 > 1e5 else run_once)(scales)
    entering, leaving, logits = map(float, program(jax.random.key(0, impl="rbg")))
    assert entering == pytest.approx(1, abs=0.15)
    # The branches add at most unit variance to the stream's one, however many there are.
    assert 0.95 < leaving < math.sqrt(2) * 1.15
    assert logits == pytest.approx(1, abs=0.15)


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


def rms(x, where=None):
    return jnp.sqrt(jnp.mean(jnp.square(x), where=where))
