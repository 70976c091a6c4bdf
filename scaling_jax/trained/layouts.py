"""The layouts of Hugging Face's models: a model's configuration and tensors under their names.

Every factor of a parameterization is multiplied into the tensors, in float64. Both layouts compute
the model's function exactly; only float32 rounding differs.

The Llama layout (Touvron et al. 2023, 2302.13971) has rotary positions, SwiGLU and RMS norms, as
the model has them. A GELU is a gated layer whose gate has the model's matrix, and whose other
factor is 1: a matrix of zeros with a bias of 1, which takes as much space as the gate.

The GPT-2 layout (Radford et al. 2019) has layer norms instead of RMS norms. A layer norm subtracts
the mean and then divides by the root mean square, so it equals an RMS norm where the mean is 0.
The residual stream is therefore rotated into the hyperplane of vectors with mean 0, of a space with
at least one more dimension: `x' = x Q`, where the rows of `Q_DxE` are orthonormal and sum to 0.
The matrices that read the stream are multiplied by `Q` transposed, those that write it by `Q`. As
GPT-2's heads divide its width evenly, heads are padded with zeros.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.linalg

from scaling_jax.config import RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.model.layers import NORM_EPS
from scaling_jax.model.rotary import ROTARY_BASE
from scaling_jax.scales import Scales, scales_of

Tensors = dict[str, np.ndarray]


def layout_of(config: RunConfig, params: Mapping[str, Any]) -> tuple[dict[str, Any], Tensors]:
    """The fields of `config.json` and the float32 tensors of a model.

    Args:
        config: the run that trained the model.
        params: its parameters with stacked layers.

    Raises:
        InputError: no layout has the model's parts; the message lists what differs from each.
    """
    shape, scales = config.shape, scales_of(config.parameterization, config.shape)
    if shape.architecture != "transformer":
        raise InputError(
            f"no layout of transformers has the architecture {shape.architecture_name!r}: use "
            "load_run(...).model, or train a transformer"
        )
    differing = {name: list(_differences(shape, name)) for name in _LAYOUTS}
    for name, differences in differing.items():
        if not differences:
            fields, tensors = _LAYOUTS[name](shape, scales, params)
            return fields, {key: _float32(tensor) for key, tensor in tensors.items()}
    listed = "; ".join(f"{name} differs in {', '.join(found)}" for name, found in differing.items())
    raise InputError(
        f"no layout of transformers has this model's parts: {listed}. Use load_run(...).model, or "
        "train a shape that one of them has"
    )


# The positions and the activations of each layout.
_PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gpt2": ("learned", ("gelu",)),
    "llama": ("rotary", ("swiglu", "gelu")),
}


def _differences(shape: Shape, layout: str) -> list[str]:
    positions, activations = _PARTS[layout]
    has = " or ".join(activations)
    found = {
        f"positions {shape.positions} (it has {positions})": shape.positions != positions,
        f"activation {shape.activation} (it has {has})": shape.activation not in activations,
        "qk_norm (it has none)": shape.qk_norm,
        f"n_experts {shape.n_experts} (it is dense)": not shape.is_dense,
    }
    return [difference for difference, differs in found.items() if differs]


def _float32(tensor: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(tensor, np.float32)


def _llama(
    shape: Shape, scales: Scales, params: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    is_gated = shape.activation == "swiglu"
    fields = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.d_model,
        "intermediate_size": shape.d_ff,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "max_position_embeddings": shape.seq_len,
        "hidden_act": "silu" if is_gated else "gelu_new",
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROTARY_BASE,
        "attention_bias": False,
        "mlp_bias": not is_gated,
        "tie_word_embeddings": shape.tied_embedding,
        "vocab_size": shape.vocab_size,
    }
    p, table = _float64(params), np.sqrt(scales.table_fan_in)
    # A tied output is the embedding with its factor, by which the last gain is divided.
    last = p["final_norm"]["gain"] * scales.logits / (table if shape.tied_embedding else 1)
    tensors = {"model.embed_tokens.weight": p["embedding"] * table, "model.norm.weight": last}
    if not shape.tied_embedding:
        tensors["lm_head.weight"] = p["output"].T
    for i, layer in enumerate(_layers(p["blocks"], shape)):
        q_DxHxK, k_DxGxK, v_DxGxK = _heads(layer, shape, scales)
        inputs_DxIxF, down_FxD = layer["feed_forward"]["up"], layer["feed_forward"]["down"]
        gate_DxF, up_DxF = inputs_DxIxF[:, 0], np.zeros_like(inputs_DxIxF[:, 0])
        if is_gated:
            up_DxF = inputs_DxIxF[:, 1]
        else:
            tensors |= {
                f"model.layers.{i}.mlp.gate_proj.bias": np.zeros(shape.d_ff),
                f"model.layers.{i}.mlp.up_proj.bias": np.ones(shape.d_ff),
                f"model.layers.{i}.mlp.down_proj.bias": np.zeros(shape.d_model),
            }
        out_AxD = layer["attention"]["out"].reshape(shape.d_attn, -1)
        tensors |= {
            f"model.layers.{i}.{name}.weight": tensor
            for name, tensor in {
                "input_layernorm": layer["attention_norm"]["gain"],
                "post_attention_layernorm": layer["feed_forward_norm"]["gain"],
                "self_attn.q_proj": q_DxHxK.reshape(shape.d_model, -1).T,
                "self_attn.k_proj": k_DxGxK.reshape(shape.d_model, -1).T,
                "self_attn.v_proj": v_DxGxK.reshape(shape.d_model, -1).T,
                "self_attn.o_proj": scales.branch * out_AxD.T,
                "mlp.gate_proj": gate_DxF.T,
                "mlp.up_proj": up_DxF.T,
                "mlp.down_proj": scales.branch * down_FxD.T,
            }.items()
        }
    return fields, tensors


def _gpt2(
    shape: Shape, scales: Scales, params: Mapping[str, Any]
) -> tuple[dict[str, Any], Tensors]:
    d, h = shape.d_model, shape.n_heads
    head = max(shape.head_size, d // h + 1)
    width = h * head
    fields = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": width,
        "n_inner": shape.d_ff,
        "n_layer": shape.n_layers,
        "n_head": h,
        "n_positions": shape.seq_len,
        "activation_function": "gelu_new",
        # The mean square is over `width` numbers instead of `d`.
        "layer_norm_epsilon": NORM_EPS * d / width,
        "tie_word_embeddings": False,
        "vocab_size": shape.vocab_size,
    }
    p = _float64(params)
    q_DxE = scipy.linalg.helmert(width)[:d]
    output_DxV = p["embedding"].T if shape.tied_embedding else p["output"]
    tensors = {
        "transformer.wte.weight": p["embedding"] * np.sqrt(scales.table_fan_in) @ q_DxE,
        "transformer.wpe.weight": p["positions"] @ q_DxE,
        "lm_head.weight": (p["final_norm"]["gain"][:, None] * output_DxV * scales.logits).T @ q_DxE,
    }

    def norm(name: str) -> Tensors:
        gain = np.full(width, np.sqrt(d / width))
        return {f"{name}.weight": gain, f"{name}.bias": np.zeros(width)}

    def dense(name: str, matrix: np.ndarray) -> Tensors:
        return {f"{name}.weight": matrix, f"{name}.bias": np.zeros(matrix.shape[1])}

    tensors |= norm("transformer.ln_f")
    for i, layer in enumerate(_layers(p["blocks"], shape)):
        at = f"transformer.h.{i}"
        padding = [(0, 0), (0, 0), (0, head - shape.head_size)]
        # Keys and values that query heads share are repeated for each of them.
        q_DxHxK, k_DxHxK, v_DxHxK = (
            np.pad(np.repeat(part, h // part.shape[1], axis=1), padding)
            * layer["attention_norm"]["gain"][:, None, None]
            for part in _heads(layer, shape, scales)
        )
        # GPT-2 divides the scores by the square root of the padded head size.
        q_DxHxK = q_DxHxK * np.sqrt(head / shape.head_size)
        qkv_DxQ = np.concatenate([x.reshape(d, -1) for x in (q_DxHxK, k_DxHxK, v_DxHxK)], axis=1)
        out_HxKxD = np.pad(
            layer["attention"]["out"].reshape(h, shape.head_size, d),
            [(0, 0), (0, head - shape.head_size), (0, 0)],
        )
        feed_forward = layer["feed_forward"]
        up_DxF = layer["feed_forward_norm"]["gain"][:, None] * feed_forward["up"][:, 0]
        tensors |= norm(f"{at}.ln_1") | norm(f"{at}.ln_2")
        tensors |= dense(f"{at}.attn.c_attn", q_DxE.T @ qkv_DxQ)
        tensors |= dense(f"{at}.attn.c_proj", scales.branch * out_HxKxD.reshape(width, d) @ q_DxE)
        tensors |= dense(f"{at}.mlp.c_fc", q_DxE.T @ up_DxF)
        tensors |= dense(f"{at}.mlp.c_proj", scales.branch * feed_forward["down"] @ q_DxE)
    return fields, tensors


_LAYOUTS: dict[str, Callable[..., tuple[dict[str, Any], Tensors]]] = {
    "gpt2": _gpt2,
    "llama": _llama,
}


def _float64(params: Any) -> Any:
    if isinstance(params, Mapping):
        return {name: _float64(value) for name, value in params.items()}
    return np.asarray(params, np.float64)


def _layers(blocks: Any, shape: Shape) -> list[Any]:
    def layer(tree: Any, i: int) -> Any:
        return {k: layer(v, i) for k, v in tree.items()} if isinstance(tree, dict) else tree[i]

    return [layer(blocks, i) for i in range(shape.n_layers)]


def _heads(layer: Any, shape: Shape, scales: Scales) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The query, key and value matrices, with the factor of the scores in the queries."""
    qkv_DxGxRxK = layer["attention"]["qkv"]
    q_DxHxK = qkv_DxGxRxK[:, :, :-2].reshape(shape.d_model, shape.n_heads, shape.head_size)
    return q_DxHxK * scales.scores, qkv_DxGxRxK[:, :, -2], qkv_DxGxRxK[:, :, -1]
