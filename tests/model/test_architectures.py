"""The LSTM and the recurrent transformer against slow computations, and their causality."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_jax.architectures import architecture_of
from scaling_jax.config import RunConfig, Shape, from_dict
from scaling_jax.errors import InputError
from scaling_jax.model.stacking import unstack_layers

# A program that runs once costs more to compile than to run.
run_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

DIMS = dict(n_layers=2, d_model=8, n_heads=2, d_ff=12, vocab_size=11, seq_len=6)
SHAPES = {
    "lstm": Shape(**DIMS | {"n_heads": 1, "d_ff": 8}, architecture="lstm"),
    "recurrent": Shape(**DIMS, architecture="recurrent", passes=3),
    "recurrent experts": Shape(**DIMS, architecture="recurrent", passes=3, n_experts=2),
}


def built(shape, **options):
    """The graph of a model, and parameters for it, all of them drawn at random."""

    def model():
        return architecture_of(shape).model_class()(shape, rngs=nnx.Rngs(0), **options)

    graph, abstract = nnx.split(nnx.eval_shape(model))
    draw = np.random.default_rng(0).normal
    return graph, jax.tree.map(lambda leaf: np.float32(0.3 * draw(size=leaf.shape)), abstract)


def outputs(graph, params, tokens):
    """Features, balance and logits."""

    def forward(params):
        model = nnx.merge(graph, params)
        return *model.features_and_balance(tokens), model(tokens)

    return run_once(forward)(params)


def tokens_of(shape):
    return np.random.default_rng(0).integers(0, shape.vocab_size, (2, shape.seq_len))


def numpy_lstm(params, tokens_T):
    """Logits of one sequence, gate by gate and position by position."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def norm(x_TxD, gain):
        return gain * x_TxD / np.sqrt((x_TxD**2).mean(1, keepdims=True) + 1e-6)

    d = params["embedding"].shape[1]
    x_TxD = params["embedding"][tokens_T] * np.sqrt(d)
    for i in range(DIMS["n_layers"]):
        layer = jax.tree.map(lambda leaf, i=i: leaf[i], params["blocks"])
        h_D, cell_D = np.zeros(d), np.zeros(d)
        inputs_TxD, x_TxD = norm(x_TxD, layer["norm"]["gain"]), x_TxD.copy()
        for t, input_D in enumerate(inputs_TxD):
            enter, keep, value, show = (
                input_D @ layer["gates_input"][:, gate]
                + h_D @ layer["gates_state"][:, gate]
                + layer["gates_bias"][gate]
                for gate in range(4)
            )
            cell_D = sigmoid(keep) * cell_D + sigmoid(enter) * np.tanh(value)
            h_D = sigmoid(show) * np.tanh(cell_D)
            x_TxD[t] += h_D
    return norm(x_TxD, params["final_norm"]["gain"]) @ params["embedding"].T


def test_an_lstm_equals_a_plain_numpy_one():
    shape = SHAPES["lstm"]
    stacked, state = built(shape, scan_layers=True)
    params, apart = nnx.to_pure_dict(state), built(shape)[0]
    tokens = tokens_of(shape)
    wanted = [numpy_lstm(jax.tree.map(np.float64, params), row) for row in tokens]
    for graph, own in ((stacked, params), (apart, unstack_layers(params))):
        found = outputs(graph, own, tokens)[2]
        np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("variant", ["recurrent", "recurrent experts"])
def test_a_recurrent_transformer_is_one_that_repeats_its_layers(variant):
    shape = SHAPES[variant]
    scanned, state = built(shape, scan_layers=True)
    params, apart = nnx.to_pure_dict(state), built(shape)[0]
    again = {"architecture": "transformer", "passes": 1, "n_layers": 6}
    deep, tokens = built(replace(shape, **again), scan_layers=True)[0], tokens_of(shape)
    repeated = jax.tree.map(lambda leaf: np.concatenate([leaf] * 3), params["blocks"])
    wanted = outputs(deep, params | {"blocks": repeated}, tokens)
    for graph, own in ((scanned, params), (apart, unstack_layers(params))):
        found = outputs(graph, own, tokens)
        jax.tree.map(partial(np.testing.assert_allclose, atol=2e-5), found, wanted)


@pytest.mark.parametrize("variant", ["lstm", "recurrent"])
def test_a_position_depends_on_itself_and_the_past_alone(variant):
    shape = SHAPES[variant]
    graph, params = built(shape)
    tokens, position = tokens_of(shape)[:1], 3

    def outcome(shift_TxD):
        model = nnx.merge(graph, params)
        x_NxD = model.embed(tokens) + shift_TxD
        return model._run_blocks(x_NxD, shape.seq_len, None)[0][position].sum()

    touched = np.abs(run_once(jax.grad(outcome))(jnp.zeros((6, 8)))).max(axis=1)
    assert (touched[: position + 1] > 0).all()
    assert (touched[position + 1 :] == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "lstn"}, "did you mean 'lstm'"),
        ({"passes": 2}, "passes 2 has no effect in the architecture 'transformer'"),
        ({"architecture": "lstm"}, "n_heads 2 has no effect in the architecture 'lstm'.* 1"),
        ({"architecture": "lstm", "n_heads": 1}, "d_ff 12 .*: it must be 8"),
        ({"architecture": "lstm", "n_heads": 1, "d_ff": 8, "qk_norm": True}, "qk_norm True has no"),
        ({"architecture": "module"}, "own_module"),
    ],
)
def test_a_field_without_effect_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Shape(**DIMS | changes)


def test_mup_is_refused_for_an_lstm():
    run = dict(
        data={},
        optimizer={"peak_lr": 1e-3, "warmup_steps": 0},
        batch_size=1,
        steps=2,
        eval_tokens=6,
        parameterization={"rule": "mup", "base_d_model": 8, "base_head_dim": 8},
    )
    shape = DIMS | {"n_heads": 1, "d_ff": 8, "architecture": "lstm"}
    with pytest.raises(InputError, match="'mup' is defined for the transformer, not for 'lstm'"):
        from_dict(RunConfig, {"shape": shape, **run})
