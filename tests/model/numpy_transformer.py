"""The transformer again, slowly, in plain NumPy loops over sequences, positions and heads."""

import math

import numpy as np

from scaling_jax.config import Shape


def forward(shape: Shape, params: dict, tokens: np.ndarray) -> np.ndarray:
    """Logits of one sequence, `TxV`, in float64."""
    x = params["embedding"][tokens].astype(np.float64) * math.sqrt(shape.d_model)
    if shape.positions == "learned":
        x = x + params["positions"][: len(tokens)]
    blocks = params["blocks"]
    for layer in range(shape.n_layers):
        norm = blocks["attention_norm"]["gain"][layer]
        x = x + attention(shape, blocks["attention"], layer, rms_norm(x, norm))
        norm = blocks["feed_forward_norm"]["gain"][layer]
        branch = feed_forward if shape.n_experts == 1 else experts
        x = x + branch(shape, blocks["feed_forward"], layer, rms_norm(x, norm))
    x = rms_norm(x, params["final_norm"]["gain"])
    output = params["embedding"].T if shape.tied_embedding else params["output"]
    return x @ output


def rms_norm(x, gain):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * gain


def attention(shape, params, layer, x):
    group_size = shape.n_heads // shape.kv_heads
    y = np.zeros_like(x)
    for head in range(shape.n_heads):
        group, member = divmod(head, group_size)
        weights = params["qkv"][layer][:, group]
        q, k, v = (x @ weights[:, i] for i in (member, group_size, group_size + 1))
        if shape.qk_norm:
            q = rms_norm(q, params["query_gain"][layer])
            k = rms_norm(k, params["key_gain"][layer])
        if shape.positions == "rotary":
            q, k = rotate(q), rotate(k)
        for t in range(len(x)):
            scores = k[: t + 1] @ q[t] / math.sqrt(shape.head_size)
            probabilities = np.exp(scores - scores.max())
            probabilities /= probabilities.sum()
            y[t] += probabilities @ v[: t + 1] @ params["out"][layer][group, member]
    return y


def rotate(x):
    half = x.shape[1] // 2
    turned = np.zeros_like(x)
    for t in range(len(x)):
        for i in range(half):
            angle = t * 10_000.0 ** (-2 * i / x.shape[1])
            pair = complex(x[t, i], x[t, half + i]) * complex(math.cos(angle), math.sin(angle))
            turned[t, i], turned[t, half + i] = pair.real, pair.imag
    return turned


def feed_forward(shape, params, layer, x):
    return one_feed_forward(shape, params["up"][layer], params["down"][layer], x)


def experts(shape, params, layer, x):
    """Each position in turn, as long as the experts that it likes best have rows left."""
    logits = x @ params["router"][layer]
    k, y, used = shape.experts_per_token, np.zeros_like(x), np.zeros(shape.n_experts, int)
    rows = min(len(x), math.ceil(shape.capacity * len(x) * k / shape.n_experts))
    for t in range(len(x)):
        probabilities = np.exp(logits[t]) / np.exp(logits[t]).sum()
        best = np.argsort(-probabilities)[:k]
        weights = probabilities[best] / (probabilities[best].sum() if k > 1 else 1)
        for expert, weight in zip(best, weights, strict=True):
            if used[expert] < rows:
                matrices = (params[name][layer, expert] for name in ("expert_up", "expert_down"))
                y[t] += weight * one_feed_forward(shape, *matrices, x[t])
            used[expert] += 1
    return y


def one_feed_forward(shape, up, down, x):
    if shape.activation == "swiglu":
        gate, value = x @ up[:, 0], x @ up[:, 1]
        hidden = gate / (1 + np.exp(-gate)) * value
    else:
        h = x @ up[:, 0]
        hidden = 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
    return hidden @ down
