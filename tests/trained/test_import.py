"""Models in the files of transformers are imported if they are representable, else refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import scaling_jax as sj
from scaling_jax.errors import InputError

pytest.importorskip("safetensors")
from numpy_layouts import forward
from safetensors.numpy import load_file, save_file
from test_export import MODELS, TOKENS, untrained


def logits(model):
    return np.asarray(model.model(TOKENS[None])[0])


# The square root of 16 is a power of 2, so that the factor of the embedding rounds nothing.
@pytest.mark.parametrize(
    "shape",
    [
        dict(d_model=16, activation="swiglu", n_heads=4, n_kv_heads=2),
        dict(d_model=16, activation="swiglu", tied_embedding=False),
        dict(d_model=16, activation="gelu"),
    ],
    ids=["swiglu", "untied", "gelu"],
)
def test_an_exported_model_comes_back_to_the_last_bit(shape, tmp_path):
    model = untrained("llama", shape=shape)
    again = sj.import_model(model.export(tmp_path / "model"))
    assert again.config.shape == model.config.shape
    np.testing.assert_array_equal(logits(again), logits(model))
    if shape["activation"] == "gelu":
        text = "A text of more than one context of the model. " * 4
        # On one device too: several may round the same sums in another way.
        alone = replace(model, config=replace(model.config, batch_size=1))
        assert again.loss(text) == alone.loss(text)


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_files(name, tmp_path):
    path = untrained(name).export(tmp_path / "model")
    np.testing.assert_allclose(logits(sj.import_model(path)), forward(path, TOKENS), atol=1e-4)


def changed(path, *, config=None, tensors=lambda tensors: None):
    """The directory with other settings and tensors."""
    fields = json.loads((path / "config.json").read_text()) | (config or {})
    (path / "config.json").write_text(json.dumps(fields))
    found = load_file(path / "model.safetensors")
    tensors(found)
    save_file(found, path / "model.safetensors")
    return path


@pytest.mark.parametrize("layout", ["llama", "gpt2"])
def test_another_epsilon_and_tied_tables_are_represented(layout, tmp_path):
    path = untrained(layout).export(tmp_path / "model")
    epsilon = {"llama": "rms_norm_eps", "gpt2": "layer_norm_epsilon"}[layout]
    before = forward(path, TOKENS)
    changed(path, config={epsilon: 0.05})
    theirs = forward(path, TOKENS)
    assert np.abs(theirs - before).max() > 0.01
    np.testing.assert_allclose(logits(sj.import_model(path)), theirs, atol=1e-4)


def test_a_gpt2_without_biases_is_represented(tmp_path):
    """Unlike an exported model, its stream has a mean, its gains differ and its output is tied."""
    path, rng = untrained("gpt2").export(tmp_path / "model"), np.random.default_rng(3)

    def fill(tensors):
        for name, tensor in tensors.items():
            if not name.endswith("bias"):
                noise = rng.normal(size=tensor.shape) * 0.3 + ("ln_" in name)
                tensors[name] = noise.astype(np.float32)

    changed(path, tensors=fill)
    np.testing.assert_allclose(logits(sj.import_model(path)), forward(path, TOKENS), atol=1e-4)

    def tie(tensors):
        tensors["transformer.wte.weight"] = tensors.pop("lm_head.weight")

    def untie(tensors):
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"].copy()

    tied = sj.import_model(changed(path, config={"tie_word_embeddings": True}, tensors=tie))
    changed(path, config={"tie_word_embeddings": False}, tensors=untie)
    np.testing.assert_allclose(logits(tied), forward(path, TOKENS), atol=1e-4)


def bias(name, value):
    def add(tensors):
        tensors[name] = np.full_like(tensors[name], value)

    return add


@pytest.mark.parametrize(
    ("layout", "config", "tensors", "named"),
    [
        ("llama", {"model_type": "mistral"}, None, "model_type is 'mistral'"),
        ("llama", {"rope_theta": 5e5}, None, "rope_theta is 500000.0"),
        (
            "llama",
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            None,
            "rope scaling is 'llama3'",
        ),
        ("llama", {"hidden_act": "gelu_new"}, None, "mlp is a gated GELU"),
        ("llama", {"hidden_size": 8}, None, "has the shape"),
        ("gpt2", {"activation_function": "gelu"}, None, "activation_function is 'gelu'"),
        (
            "gpt2",
            {},
            bias("transformer.h.0.ln_1.bias", 0.1),
            "tensor 'transformer.h.0.ln_1.bias' is not zero",
        ),
        (
            "gpt2",
            {},
            bias("transformer.h.1.attn.c_attn.bias", 0.1),
            "tensor 'transformer.h.1.attn.c_attn.bias' is not zero",
        ),
        (
            "llama-gelu",
            {},
            bias("model.layers.0.mlp.gate_proj.bias", 0.1),
            "tensor 'model.layers.0.mlp.gate_proj.bias' is not zero",
        ),
    ],
)
def test_what_is_not_representable_is_named(layout, config, tensors, named, tmp_path):
    path = untrained(layout).export(tmp_path / "model")
    changed(path, config=config, tensors=tensors or (lambda tensors: None))
    with pytest.raises(InputError, match=named):
        sj.import_model(path)


def test_a_shorter_context_and_missing_files(tmp_path: Path):
    path = untrained("gpt2").export(tmp_path / "model")
    whole, short = sj.import_model(path), sj.import_model(path, seq_len=8)
    assert short.config.shape.seq_len == 8
    ours = np.asarray(short.model(TOKENS[None, :8])[0])
    np.testing.assert_allclose(ours, logits(whole)[:8], atol=1e-5)
    for name, named in (("tokenizer.json",) * 2, ("model.safetensors", "no .*safetensors")):
        (path / name).unlink()
        with pytest.raises(InputError, match=named):
            sj.import_model(path)


def test_the_files_that_an_index_lists_are_read(tmp_path):
    path = untrained("llama").export(tmp_path / "model")
    whole, tensors = logits(sj.import_model(path)), load_file(path / "model.safetensors")
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, each in shards.items():
        save_file({name: tensors[name] for name in each}, path / file)
    (path / "model.safetensors").rename(path / "original.safetensors")
    listed = {name: file for file, each in shards.items() for name in each}
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": listed}))
    np.testing.assert_array_equal(logits(sj.import_model(path)), whole)
    (path / "b.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"b.safetensors, which model.safetensors.index.json lists"
    ):
        sj.import_model(path)
    index.write_text("{}")
    with pytest.raises(InputError, match="lists no weights"):
        sj.import_model(path)
