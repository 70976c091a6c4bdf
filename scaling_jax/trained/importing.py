"""Import of models in the files of Hugging Face's transformers: the layouts of GPT-2 and Llama.

A model is imported if it computes what a `Transformer` can compute, up to float32 rounding, and
refused with the setting or the tensor that does not fit if it does not. Two identities make room:

- A norm with another epsilon: with the residual stream multiplied by `c`, the norm's epsilon
  counts as `epsilon / c^2`. Both the matrices that write the stream and the embedding get `c`.
- A layer norm without biases subtracts the mean, so that only the stream's part of mean 0 is read.
  That part has one dimension less; in an orthonormal basis of it the layer norm is an RMS norm.
"""

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.linalg

from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.config.strict import parsed_json
from scaling_jax.errors import InputError
from scaling_jax.model.layers import NORM_EPS
from scaling_jax.model.rotary import ROTARY_BASE
from scaling_jax.trained.export import CONFIG
from scaling_jax.trained.language_model import LanguageModel
from scaling_jax.trained.weight_files import Tensors

_TOKENIZERS = {
    "tokenizer.json": "hf",
    "sentencepiece.model": "sentencepiece",
    "tokenizer.model": "sentencepiece",
}
_TANH_GELU = ("gelu_new", "gelu_pytorch_tanh")
# Evaluated tokens of a corpus, if it has as many.
_EVAL_TOKENS = 131_072


def import_model(directory: os.PathLike[str] | str, *, seq_len: int | None = None) -> LanguageModel:
    """The model in a directory of `config.json`, `*.safetensors` and a tokenizer.

    Its logits are those of transformers up to float32 rounding. The numbers of an exported model
    in the Llama layout come back to the last bit if the square root of `d_model` is a power of 2.

    Args:
        directory: as `LanguageModel.export` writes it, or a published model of the layout of GPT-2
            or Llama.
        seq_len: the context, in tokens, if it is to be shorter than the model's own.

    Raises:
        InputError: files that are missing or damaged, or a model that cannot be represented; the
            message names the setting or the tensor that does not fit.
    """
    path = Path(directory)
    config = _config(path)
    layouts = {"llama": _llama, "gpt2": _gpt2}
    _require(path, "model_type", config.get("model_type"), tuple(layouts))
    _require(path, "quantization_config", config.get("quantization_config"), (None,))
    tensors = Tensors(path)
    try:
        shape, params = layouts[config["model_type"]](path, config, tensors)
    except KeyError as error:
        raise InputError(f"{path / CONFIG} lacks {error}: restore the model's own file") from error
    tensors.refuse_rest()
    if seq_len is not None:
        shape, params = _shortened(shape, params, seq_len)
    run = RunConfig(
        shape=shape,
        data=DataConfig(tokenizer=_tokenizer(path)),
        # What trained the model is not known; these fields do not change what it computes.
        optimizer=OptimizerConfig(peak_lr=1e-3, warmup_steps=0),
        batch_size=1,
        steps=1,
        eval_tokens=_EVAL_TOKENS,
    )
    return LanguageModel(run, params, None)


def _config(path: Path) -> dict[str, Any]:
    try:
        found = parsed_json((path / CONFIG).read_text(encoding="utf-8"), str(path / CONFIG))
    except OSError as error:
        raise InputError(
            f"cannot read {path / CONFIG} ({error.strerror}): give a directory with config.json, "
            "*.safetensors and a tokenizer"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{path / CONFIG} holds no configuration: download it again")
    return found


def _tokenizer(path: Path) -> str:
    for name, kind in _TOKENIZERS.items():
        if (path / name).is_file():
            return f"{kind}:{(path / name).absolute()}"
    raise InputError(
        f"{path} has none of {', '.join(_TOKENIZERS)}: copy the model's tokenizer there"
    )


def _require(path: Path, name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        listed = " or ".join(map(repr, allowed))
        raise InputError(
            f"the model in {path} cannot be imported: its {name} is {value!r}, not {listed}"
        )


def _llama(path: Path, c: Mapping[str, Any], w: Tensors) -> tuple[Shape, dict[str, Any]]:
    rope = c.get("rope_parameters") or c.get("rope_scaling") or {}
    _require(path, "rope scaling", rope.get("rope_type", rope.get("type")), (None, "default"))
    theta = rope.get("rope_theta", c.get("rope_theta", ROTARY_BASE))
    _require(path, "rope_theta", float(theta), (ROTARY_BASE,))
    _require(path, "partial_rotary_factor", c.get("partial_rotary_factor", 1), (1, None))
    _require(path, "sliding_window", c.get("sliding_window"), (None,))
    _require(path, "hidden_act", c.get("hidden_act", "silu"), ("silu", *_TANH_GELU))
    d, h, f = c["hidden_size"], c["num_attention_heads"], c["intermediate_size"]
    is_gated = c.get("hidden_act", "silu") == "silu"
    shape = Shape(
        n_layers=c["num_hidden_layers"],
        d_model=d,
        n_heads=h,
        d_ff=f,
        vocab_size=c["vocab_size"],
        seq_len=c.get("max_position_embeddings", 2048),
        head_dim=c.get("head_dim") or d // h,
        n_kv_heads=c.get("num_key_value_heads") or h,
        activation="swiglu" if is_gated else "gelu",
        tied_embedding=bool(c.get("tie_word_embeddings", False)),
    )
    k, g, scale = shape.head_size, shape.kv_heads, _stream_scale(c.get("rms_norm_eps", 1e-6))
    embedding_VxD = w.take("model.embed_tokens.weight", shape.vocab_size, d)
    gain_D = w.take("model.norm.weight", d)
    params: dict[str, Any] = {"embedding": embedding_VxD * scale / math.sqrt(d)}
    if shape.tied_embedding:
        w.drop("lm_head.weight", embedding_VxD)
        gain_D = gain_D * math.sqrt(d) / scale
    else:
        params["output"] = w.take("lm_head.weight", shape.vocab_size, d).T
    layers = []
    for i in range(shape.n_layers):
        at = f"model.layers.{i}"
        q, k_, v = (
            w.take(f"{at}.self_attn.{name}_proj.weight", n * k, d).T.reshape(d, g, -1, k)
            for name, n in (("q", h), ("k", g), ("v", g))
        )
        inputs = [w.take(f"{at}.mlp.gate_proj.weight", f, d).T]
        if is_gated:
            inputs.append(w.take(f"{at}.mlp.up_proj.weight", f, d).T)
        elif not (w.drop(f"{at}.mlp.up_proj.weight", 0) and w.drop(f"{at}.mlp.up_proj.bias", 1)):
            raise InputError(
                f"the model in {path} cannot be imported: {at}.mlp is a gated GELU, and models "
                "here have SwiGLU or a plain GELU"
            )
        out_AxD = w.take(f"{at}.self_attn.o_proj.weight", d, h * k).T * scale
        layers.append(
            _layer(
                w.take(f"{at}.input_layernorm.weight", d),
                np.concatenate([q, k_, v], axis=2),
                out_AxD.reshape(g, -1, k, d),
                w.take(f"{at}.post_attention_layernorm.weight", d),
                np.stack(inputs, axis=1),
                w.take(f"{at}.mlp.down_proj.weight", d, f).T * scale,
            )
        )
    return shape, _params(params, layers, gain_D)


def _gpt2(path: Path, c: Mapping[str, Any], w: Tensors) -> tuple[Shape, dict[str, Any]]:
    _require(path, "activation_function", c.get("activation_function", "gelu_new"), _TANH_GELU)
    _require(path, "scale_attn_weights", c.get("scale_attn_weights", True), (True,))
    by_layer = "scale_attn_by_inverse_layer_idx"
    _require(path, by_layer, c.get(by_layer, False), (False,))
    width, h = c["n_embd"], c["n_head"]
    f, d, k = c.get("n_inner") or 4 * width, width - 1, width // h
    shape = Shape(
        n_layers=c["n_layer"],
        d_model=d,
        n_heads=h,
        d_ff=f,
        vocab_size=c["vocab_size"],
        seq_len=c["n_positions"],
        head_dim=k,
        positions="learned",
        tied_embedding=False,
    )
    scale = _stream_scale(c.get("layer_norm_epsilon", 1e-5) * width / d)
    # The orthonormal basis of the vectors of mean 0.
    basis_DxE = scipy.linalg.helmert(width)
    gain_D = np.full(d, math.sqrt(width / d))

    def read(norm: str, matrix_ExX: np.ndarray) -> np.ndarray:
        return basis_DxE @ (w.take(f"{norm}.weight", width)[:, None] * matrix_ExX)

    table_VxE = w.take("transformer.wte.weight", shape.vocab_size, width)
    tied = c.get("tie_word_embeddings", True)
    w.drop("lm_head.weight", table_VxE)
    output_VxE = table_VxE if tied else w.take("lm_head.weight", shape.vocab_size, width)
    params = {
        "embedding": table_VxE @ basis_DxE.T * scale / math.sqrt(d),
        "positions": w.take("transformer.wpe.weight", shape.seq_len, width) @ basis_DxE.T * scale,
        "output": read("transformer.ln_f", output_VxE.T),
    }
    layers = []
    for i in range(shape.n_layers):
        at = f"transformer.h.{i}"
        qkv_DxQ = read(f"{at}.ln_1", w.take(f"{at}.attn.c_attn.weight", width, 3 * width))
        out_AxD = w.take(f"{at}.attn.c_proj.weight", width, width) @ basis_DxE.T * scale
        up_DxF = read(f"{at}.ln_2", w.take(f"{at}.mlp.c_fc.weight", width, f))
        layers.append(
            _layer(
                gain_D,
                qkv_DxQ.reshape(d, 3, h, k).swapaxes(1, 2),
                out_AxD.reshape(h, 1, k, d),
                gain_D,
                up_DxF[:, None],
                w.take(f"{at}.mlp.c_proj.weight", f, width) @ basis_DxE.T * scale,
            )
        )
    return shape, _params(params, layers, gain_D)


def _stream_scale(epsilon: float) -> float:
    """What the residual stream is multiplied by, so that the norms' epsilon counts as `epsilon`."""
    return math.sqrt(NORM_EPS / epsilon)


def _layer(
    attention_gain_D: np.ndarray,
    qkv_DxGxRxK: np.ndarray,
    out_GxRxKxD: np.ndarray,
    feed_forward_gain_D: np.ndarray,
    up_DxIxF: np.ndarray,
    down_FxD: np.ndarray,
) -> dict[str, Any]:
    return {
        "attention_norm": {"gain": attention_gain_D},
        "attention": {"qkv": qkv_DxGxRxK, "out": out_GxRxKxD},
        "feed_forward_norm": {"gain": feed_forward_gain_D},
        "feed_forward": {"up": up_DxIxF, "down": down_FxD},
    }


def _params(tables: dict[str, Any], layers: list[Any], gain_D: np.ndarray) -> dict[str, Any]:
    blocks = jax.tree.map(lambda *each: np.stack(each), *layers)
    tree = {**tables, "blocks": blocks, "final_norm": {"gain": gain_D}}
    return jax.tree.map(lambda leaf: np.ascontiguousarray(leaf, np.float32), tree)


def _shortened(shape: Shape, params: dict[str, Any], seq_len: int) -> tuple[Shape, dict[str, Any]]:
    if not 0 < seq_len <= shape.seq_len:
        raise InputError(f"seq_len {seq_len} must lie between 1 and {shape.seq_len}, the model's")
    if "positions" in params:
        params = {**params, "positions": params["positions"][:seq_len]}
    return dataclasses.replace(shape, seq_len=seq_len), params
