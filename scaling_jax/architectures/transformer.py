"""Counts of the transformer, also of one that applies its blocks several times.

A recurrent transformer has the parameters of its blocks once, and their FLOPs `passes` times under
every convention: there N counts what one token uses, as often as the token uses it.
"""

from scaling_jax.architectures.counts import (
    Convention,
    OpFlops,
    ParamCount,
    dense_logits,
    lookup_as_product,
)
from scaling_jax.config import Shape

# Logical axes of every parameter, by its name in the model; gains have none.
AXES: dict[str, tuple[str | None, ...]] = {
    "embedding": ("vocab", "embed"),
    "positions": (None, "embed"),
    "qkv": ("layers", "embed", "heads", None, None),
    "out": ("layers", "heads", None, None, "embed"),
    "up": ("layers", "embed", None, "mlp"),
    "down": ("layers", "mlp", "embed"),
    "router": ("layers", "embed", None),
    "expert_up": ("layers", "expert", "embed", None, None),
    "expert_down": ("layers", "expert", None, "embed"),
    "output": ("embed", "vocab"),
}


def params(shape: Shape) -> ParamCount:
    """Parameters of the model that this package builds for `shape`, by component."""
    qk_gains = 2 * shape.head_size if shape.qk_norm else 0
    learned = shape.positions == "learned"
    layers = shape.n_layers * _feed_forward_params(shape)
    k = 0 if shape.is_dense else shape.experts_per_token
    return ParamCount(
        embedding=shape.vocab_size * shape.d_model,
        positions=shape.seq_len * shape.d_model if learned else 0,
        attention=shape.n_layers * (_qkv_params(shape) + _projection_params(shape)),
        feed_forward=layers if shape.is_dense else 0,
        norms=shape.n_layers * (2 * shape.d_model + qk_gains) + shape.d_model,
        output=0 if shape.tied_embedding else shape.vocab_size * shape.d_model,
        router=shape.n_layers * _router_params(shape),
        experts=k * layers,
        other_experts=0 if shape.is_dense else (shape.n_experts - k) * layers,
    )


def forward_ops(shape: Shape, convention: Convention, pairs: int) -> OpFlops:
    """FLOPs of the forward pass over one sequence, in which a head has `pairs` scores."""
    if convention == "exact":
        return _product_ops(shape, pairs, embedding=0, softmax=0)
    if convention == "chinchilla":
        softmax = 3 * shape.depth * shape.n_heads * pairs
        return _product_ops(shape, pairs, embedding=lookup_as_product(shape), softmax=softmax)
    return _parameter_ops(shape, with_embeddings=convention == "6nd")


def split(shape: Shape) -> dict[str, int]:
    """Sizes that the mesh axis `tensor` must divide, each with its name."""
    inner = {"d_ff": shape.d_ff} if shape.is_dense else {"n_experts": shape.n_experts}
    return {"n_kv_heads": shape.kv_heads, **inner}


def _product_ops(shape: Shape, pairs: int, *, embedding: int, softmax: int) -> OpFlops:
    """Two FLOPs per multiply-accumulate of every matrix product, plus `embedding` and `softmax`."""
    s, layers = shape.seq_len, shape.depth
    square = 2 * layers * pairs * shape.d_attn
    rows = s if shape.is_dense else shape.n_experts * shape.expert_rows(s)
    feed_forward = 2 * layers * rows * _feed_forward_params(shape)
    return OpFlops(
        embedding=embedding,
        qkv=2 * layers * s * _qkv_params(shape),
        scores=square,
        softmax=softmax,
        values=square,
        projection=2 * layers * s * _projection_params(shape),
        feed_forward=feed_forward if shape.is_dense else 0,
        logits=dense_logits(shape),
        router=2 * layers * s * _router_params(shape),
        experts=0 if shape.is_dense else feed_forward,
    )


def _parameter_ops(shape: Shape, *, with_embeddings: bool) -> OpFlops:
    """Two FLOPs per active parameter and token, assigned to the operation that uses it."""
    s, layers, counted = shape.seq_len, shape.depth, params(shape)
    # A tied matrix counts once, at the logits, where it is a matrix product.
    logits = counted.embedding if shape.tied_embedding else counted.output
    lookup = counted.positions + (0 if shape.tied_embedding else counted.embedding)
    used = shape.passes
    return OpFlops(
        embedding=2 * s * lookup if with_embeddings else 0,
        qkv=2 * s * layers * _qkv_params(shape),
        projection=2 * s * layers * _projection_params(shape),
        feed_forward=2 * s * used * counted.feed_forward,
        norms=2 * s * (used * (counted.norms - shape.d_model) + shape.d_model),
        logits=2 * s * logits if with_embeddings else 0,
        router=2 * s * used * counted.router,
        experts=2 * s * used * counted.experts,
    )


def _qkv_params(shape: Shape) -> int:
    return shape.d_model * (shape.d_attn + 2 * shape.d_kv)


def _projection_params(shape: Shape) -> int:
    return shape.d_attn * shape.d_model


def _router_params(shape: Shape) -> int:
    return 0 if shape.is_dense else shape.d_model * shape.n_experts


def _feed_forward_params(shape: Shape) -> int:
    """Feed-forward parameters of one layer, or of one expert of a layer."""
    return (shape.n_inputs + 1) * shape.d_model * shape.d_ff
