"""Parameters and FLOPs of a transformer, in exact Python integers.

A multiply-accumulate counts as two FLOPs. Four conventions are in use, and the exponents of
a scaling law depend on the convention:

- `exact`: the matrix multiplications this package executes. Attention scores are full
  `seq_len x seq_len` squares, also where a kernel skips what the causal mask hides (`causal`
  counts what is left); an embedding lookup multiplies nothing, and element-wise work is left out.
- `chinchilla`: Hoffmann et al. 2022 (arXiv 2203.15556), Appendix F as written: the lookup
  counted as a product with one-hot rows, and 3 FLOPs per attention weight for the softmax.
- `kaplan`: 6 N D with N without embeddings (Kaplan et al. 2020, arXiv 2001.08361, Section 2.1).
- `6nd`: 6 N D with N the total count.

For a mixture of experts the last two count the active parameters, which one token uses: 6 N D
stands for the work on a token, and the other experts do none. `exact` and `chinchilla` count the
products of every row of the experts, filled or empty, which are `capacity` times as many.

All four put the backward pass at twice the forward. For `exact` that too is a count, not a
rule of thumb: each product `C = A B` has the two gradient products `dC Bᵀ` and `Aᵀ dC`. Even
the first layer needs both, since its input is the embedding, which is trained.
"""

import functools
from dataclasses import dataclass, fields
from typing import Literal, get_args

from scaling_jax.config import Shape
from scaling_jax.errors import InputError

Convention = Literal["exact", "chinchilla", "kaplan", "6nd"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)

BACKWARD_PER_FORWARD = 2


@dataclass(frozen=True)
class ParamCount:
    """Numbers of parameters of a model, by component.

    Attributes:
        embedding: the vocabulary table.
        positions: the learned position table, 0 under rotary positions.
        attention: query, key, value and output matrices.
        feed_forward: two matrices under GELU, three under SwiGLU; 0 in a mixture of experts.
        norms: gains of every normalization, including those of queries and keys.
        output: the output matrix, 0 if it is the transposed embedding.
        router: matrices that choose the experts.
        experts: matrices of the experts that one token uses.
        other_experts: matrices of all other experts.
    """

    embedding: int
    positions: int
    attention: int
    feed_forward: int
    norms: int
    output: int
    router: int = 0
    experts: int = 0
    other_experts: int = 0

    @property
    def total(self) -> int:
        """Number of all parameters."""
        return _sum_fields(self)

    @property
    def non_embedding(self) -> int:
        """Parameters without vocabulary table, output matrix and position table (Kaplan's N)."""
        return self.attention + self.feed_forwards + self.norms

    @property
    def active(self) -> int:
        """Parameters that one token uses: all parameters of a dense model."""
        return self.total - self.other_experts

    @property
    def active_non_embedding(self) -> int:
        """Active parameters without vocabulary table, output matrix and position table."""
        return self.non_embedding - self.other_experts

    @property
    def feed_forwards(self) -> int:
        """Parameters of the feed-forward matrices, or of all experts and the routers."""
        return self.feed_forward + self.router + self.experts + self.other_experts


@dataclass(frozen=True)
class OpFlops:
    """FLOPs for one sequence, by operation, summed over layers."""

    embedding: int
    qkv: int
    scores: int
    softmax: int
    values: int
    projection: int
    feed_forward: int
    norms: int
    logits: int
    router: int = 0
    experts: int = 0

    @property
    def total(self) -> int:
        """FLOPs summed over operations."""
        return _sum_fields(self)


# Cached, because a study repeats the same counts for every run of a shape.
@functools.lru_cache(maxsize=4096)
def count_params(shape: Shape) -> ParamCount:
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


def forward_ops(shape: Shape, convention: Convention = "exact", *, causal: bool = False) -> OpFlops:
    """FLOPs of the forward pass over one sequence of `shape.seq_len` tokens.

    With `causal`, the conventions that count attention scores count only those on and below the
    diagonal.

    Raises:
        InputError: an unknown convention.
    """
    pairs = shape.seq_len * (shape.seq_len + 1) // 2 if causal else shape.seq_len**2
    if convention == "exact":
        return _product_ops(shape, pairs, embedding=0, softmax=0)
    if convention == "chinchilla":
        lookup = 2 * shape.seq_len * shape.vocab_size * shape.d_model
        softmax = 3 * shape.n_layers * shape.n_heads * pairs
        return _product_ops(shape, pairs, embedding=lookup, softmax=softmax)
    if convention == "kaplan":
        return _parameter_ops(shape, with_embeddings=False)
    if convention == "6nd":
        return _parameter_ops(shape, with_embeddings=True)
    raise InputError(
        f"FLOP convention {convention!r} is unknown: choose one of {', '.join(CONVENTIONS)}"
    )


def training_flops(
    shape: Shape, tokens: int, convention: Convention = "exact", *, causal: bool = False
) -> int:
    """FLOPs of training on `tokens` tokens: forward and backward passes, without the optimizer.

    Raises:
        InputError: an unknown convention, or tokens below 1.
    """
    if tokens < 1:
        raise InputError(f"tokens {tokens} must be at least 1")
    sequence = _sequence_flops(shape, convention, causal)
    return (1 + BACKWARD_PER_FORWARD) * sequence * tokens // shape.seq_len


@functools.lru_cache(maxsize=4096)
def _sequence_flops(shape: Shape, convention: Convention, causal: bool) -> int:
    return forward_ops(shape, convention, causal=causal).total


def _product_ops(shape: Shape, pairs: int, *, embedding: int, softmax: int) -> OpFlops:
    """Two FLOPs per multiply-accumulate of every matrix product, plus `embedding` and `softmax`.

    `pairs` is the number of attention scores of one head for one sequence.
    """
    s, layers = shape.seq_len, shape.n_layers
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
        norms=0,
        logits=2 * s * shape.d_model * shape.vocab_size,
        router=2 * layers * s * _router_params(shape),
        experts=0 if shape.is_dense else feed_forward,
    )


def _parameter_ops(shape: Shape, *, with_embeddings: bool) -> OpFlops:
    """Two FLOPs per active parameter and token, assigned to the operation that uses it."""
    s, layers, params = shape.seq_len, shape.n_layers, count_params(shape)
    # A tied matrix counts once, at the logits, where it is a matrix product.
    logits = params.embedding if shape.tied_embedding else params.output
    lookup = params.positions + (0 if shape.tied_embedding else params.embedding)
    return OpFlops(
        embedding=2 * s * lookup if with_embeddings else 0,
        qkv=2 * s * layers * _qkv_params(shape),
        scores=0,
        softmax=0,
        values=0,
        projection=2 * s * layers * _projection_params(shape),
        feed_forward=2 * s * params.feed_forward,
        norms=2 * s * params.norms,
        logits=2 * s * logits if with_embeddings else 0,
        router=2 * s * params.router,
        experts=2 * s * params.experts,
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


def _sum_fields(counts: ParamCount | OpFlops) -> int:
    return sum(getattr(counts, f.name) for f in fields(counts))
