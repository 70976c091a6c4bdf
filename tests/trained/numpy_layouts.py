"""GPT-2 and Llama of Hugging Face's transformers again, in NumPy, from their exported files."""

import json
import math

import numpy as np
from safetensors.numpy import load_file


def forward(directory, tokens):
    """Logits `TxV` of one sequence in float64."""
    config = json.loads((directory / "config.json").read_text())
    w = {
        name: tensor.astype(float)
        for name, tensor in load_file(directory / "model.safetensors").items()
    }
    return {"gpt2": gpt2, "llama": llama}[config["model_type"]](config, w, tokens)


def gpt2(c, w, tokens):
    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + c["layer_norm_epsilon"])
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def dense(x, name):
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    assert c["activation_function"] == "gelu_new"
    x = w["transformer.wte.weight"][tokens] + w["transformer.wpe.weight"][: len(tokens)]
    for i in range(c["n_layer"]):
        at = f"transformer.h.{i}"
        q, k, v = np.split(dense(norm(x, f"{at}.ln_1"), f"{at}.attn.c_attn"), 3, axis=1)
        q, k, v = (part.reshape(len(tokens), c["n_head"], -1) for part in (q, k, v))
        x = x + dense(attention(q, k, v), f"{at}.attn.c_proj")
        h = dense(norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc")
        assert h.shape[1] == c["n_inner"]
        x = x + dense(gelu_new(h), f"{at}.mlp.c_proj")
    assert not c["tie_word_embeddings"]
    return norm(x, "transformer.ln_f") @ w["lm_head.weight"].T


def llama(c, w, tokens):
    def norm(x, name):
        scale = np.sqrt((x**2).mean(-1, keepdims=True) + c["rms_norm_eps"])
        return x / scale * w[f"{name}.weight"]

    x = w["model.embed_tokens.weight"][tokens]
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        h = norm(x, f"{at}.input_layernorm")
        q, k, v = (
            (h @ w[f"{at}.self_attn.{name}_proj.weight"].T).reshape(len(x), -1, c["head_dim"])
            for name in "qkv"
        )
        q, k = rotated(q, c["rope_theta"]), rotated(k, c["rope_theta"])
        n = c["num_attention_heads"] // c["num_key_value_heads"]
        h = attention(q, np.repeat(k, n, axis=1), np.repeat(v, n, axis=1))
        x = x + h @ w[f"{at}.self_attn.o_proj.weight"].T
        h = norm(x, f"{at}.post_attention_layernorm")
        gate, up = (projected(h, w, f"{at}.mlp.{name}_proj") for name in ("gate", "up"))
        activation = {"silu": silu, "gelu_new": gelu_new}[c["hidden_act"]]
        x = x + projected(activation(gate) * up, w, f"{at}.mlp.down_proj")
    output = "model.embed_tokens" if c["tie_word_embeddings"] else "lm_head"
    return norm(x, "model.norm") @ w[f"{output}.weight"].T


def projected(x, w, name):
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu_new(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def rotated(x, theta):
    """`x cos + rotate_half(x) sin`, as in transformers."""
    size = x.shape[-1]
    frequency = 1 / theta ** (np.arange(0, size, 2) / size)
    angle = np.concatenate([np.outer(np.arange(len(x)), frequency)] * 2, axis=1)[:, None]
    turned = np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], axis=-1)
    return x * np.cos(angle) + turned * np.sin(angle)


def attention(q, k, v):
    scores = np.einsum("thk,uhk->htu", q, k) / math.sqrt(q.shape[-1])
    scores = np.where(np.tri(len(q), dtype=bool), scores, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("htu,uhk->thk", p / p.sum(-1, keepdims=True), v).reshape(len(q), -1)
