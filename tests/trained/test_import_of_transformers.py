"""Models that transformers itself made and stored: imported with their logits, or refused."""

import shutil

import numpy as np
import pytest
from test_export import TOKENS, untrained

import scaling_jax as sj
from scaling_jax.errors import InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY = 256
LLAMA = dict(
    vocab_size=VOCABULARY,
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
GPT2 = dict(vocab_size=VOCABULARY, n_embd=24, n_layer=2, n_head=4, n_positions=64)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """The file of the tokenizer of bytes."""
    return untrained("llama").export(tmp_path_factory.mktemp("bytes") / "model") / "tokenizer.json"


def stored(kind, settings, tokenizer, path, change=lambda model: None, **options):
    """A model with random weights and gains, stored by transformers; and its logits."""
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM", None) or getattr(
        transformers, f"{kind}LMHeadModel"
    )
    made = model(getattr(transformers, f"{kind}Config")(**settings)).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if not name.endswith("bias"):
                parameter.mul_(torch.rand_like(parameter) + 0.5).mul_(
                    4 if "norm" not in name else 1
                )
        change(made)
        logits_TxV = made(torch.tensor(TOKENS[None].astype(np.int64))).logits[0].numpy()
    made.save_pretrained(path, **options)
    shutil.copy(tokenizer, path / "tokenizer.json")
    return logits_TxV


@pytest.mark.parametrize("shards", ["1GB", "8KB"], ids=["one-file", "shards"])
@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(("kind", "settings"), [("Llama", LLAMA), ("GPT2", GPT2)])
def test_logits_are_those_of_transformers(kind, settings, is_tied, shards, tokenizer, tmp_path):
    settings = settings | {"tie_word_embeddings": is_tied}
    theirs = stored(kind, settings, tokenizer, tmp_path, max_shard_size=shards)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1 or shards == "8KB"
    model = sj.import_model(tmp_path)
    ours = np.asarray(model.model(TOKENS[None])[0])
    assert np.ptp(theirs) > 1
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.ptp(theirs))
    assert model.config.shape.tied_embedding == (is_tied and kind == "Llama")
    assert model.loss("A text of more than one context of the model. " * 4) > 0


def biased(model):
    model.transformer.h[1].attn.c_attn.bias.fill_(0.1)


@pytest.mark.parametrize(
    ("kind", "settings", "change", "named"),
    [
        ("GPT2", GPT2, biased, r"tensor 'transformer.h.1.attn.c_attn.bias' is not zero"),
        ("GPT2", GPT2 | {"activation_function": "gelu"}, None, "activation_function is 'gelu'"),
        ("Llama", LLAMA | {"rope_theta": 5e5}, None, "rope_theta is 500000.0"),
        ("Llama", LLAMA | {"hidden_act": "gelu_new"}, None, "mlp is a gated GELU"),
        ("Mistral", LLAMA, None, "model_type is 'mistral'"),
        ("Qwen2", LLAMA, None, "model_type is 'qwen2'"),
    ],
)
def test_what_is_not_representable_is_named(kind, settings, change, named, tokenizer, tmp_path):
    stored(kind, settings, tokenizer, tmp_path, change or (lambda model: None))
    with pytest.raises(InputError, match=named):
        sj.import_model(tmp_path)


def test_a_missing_shard_is_named(tokenizer, tmp_path):
    stored("Llama", LLAMA, tokenizer, tmp_path, max_shard_size="8KB")
    sorted(tmp_path.glob("*.safetensors"))[1].unlink()
    with pytest.raises(InputError, match=r"model-00002-of-.*which model.*index.json lists"):
        sj.import_model(tmp_path)
