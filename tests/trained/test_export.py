"""An exported model has the logits of the model, by the arithmetic of transformers."""

import json

import jax
import numpy as np
import pytest
from helpers import small_run

from scaling_jax.config import OptimizerConfig
from scaling_jax.config.parameterization import Parameterization
from scaling_jax.errors import InputError
from scaling_jax.train.model_loss import ModelSpec
from scaling_jax.train.step import init_state
from scaling_jax.trained import LanguageModel

pytest.importorskip("safetensors")
from numpy_layouts import forward

TOKENS = np.random.default_rng(1).integers(0, 256, 32).astype(np.int32)
COMPLETEP = Parameterization("completep", base_d_model=8, base_head_dim=4, base_n_layers=1)
MODELS = {
    "gpt2": dict(shape=dict(positions="learned")),
    "gpt2-untied-grouped": dict(
        shape=dict(positions="learned", tied_embedding=False, n_heads=4, n_kv_heads=2, head_dim=6),
        parameterization=COMPLETEP,
    ),
    "llama": dict(shape=dict(activation="swiglu")),
    "llama-untied-grouped": dict(
        shape=dict(activation="swiglu", tied_embedding=False, n_heads=4, n_kv_heads=1, head_dim=6),
        parameterization=COMPLETEP,
    ),
    "llama-gelu": dict(shape=dict(activation="gelu")),
    "llama-tied-completep": dict(shape=dict(activation="swiglu"), parameterization=COMPLETEP),
}


def untrained(name, **changes):
    """A model at its initialization, with gains that are not 1."""
    config = small_run("nowhere", **(MODELS[name] | changes))
    spec = ModelSpec(config.shape, OptimizerConfig(1e-2, 5), "float32", config.parameterization)
    params = init_state(spec, jax.random.key(2))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            np.asarray(leaf * rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32))
            if "gain" in str(path[-1])
            else leaf
        ),
        params,
    )
    return LanguageModel(config, params, None)


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_layout(name, tmp_path):
    model = untrained(name)
    ours = np.asarray(model.model(TOKENS[None])[0])
    theirs = forward(model.export(tmp_path / "model"), TOKENS)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    assert np.ptp(ours) > 1


@pytest.mark.parametrize("name", MODELS)
def test_transformers_loads_the_model(name, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = untrained(name)
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(
        model.export(tmp_path / "model"), output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        logits = theirs(torch.tensor(TOKENS[None].astype(np.int64))).logits[0].numpy()
    np.testing.assert_allclose(logits, np.asarray(model.model(TOKENS[None])[0]), atol=1e-4)


def test_the_bytes_come_with_a_tokenizer_of_the_same_ids(tmp_path):
    import tokenizers

    path = untrained("llama").export(tmp_path / "model")
    coder = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    text = "Zürich — the law\n\t of\r\n <|endoftext|> \0 x  y"
    assert coder.encode(text).ids == list(text.encode())
    assert coder.decode(list(text.encode())) == text
    assert json.loads((path / "config.json").read_text())["eos_token_id"] == 10


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        (
            dict(activation="swiglu", positions="learned"),
            "gpt2 differs in activation swiglu .*; llama differs in positions learned",
        ),
        (dict(activation="swiglu", qk_norm=True), "llama differs in qk_norm"),
        (dict(activation="swiglu", n_experts=2), "llama differs in n_experts 2"),
    ],
    ids=["learned-swiglu", "qk-norm", "experts"],
)
def test_other_shapes_are_refused_by_their_parts(shape, named, tmp_path):
    with pytest.raises(InputError, match=named):
        untrained("llama", shape=shape).export(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_files_that_exist_are_kept(tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(InputError, match="not empty"):
        untrained("llama").export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
