"""Counts of a model's parameters and FLOPs, by component and by operation."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from scaling_jax.config import Shape

Convention = Literal["exact", "chinchilla", "kaplan", "6nd"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)


@dataclass(frozen=True)
class ParamCount:
    """Numbers of parameters of a model, by component; a model has none of what is left out.

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
        gates: matrices and biases of the gates of an LSTM.
        module: everything in a user's own module but its tables and its output matrix.
    """

    embedding: int = 0
    positions: int = 0
    attention: int = 0
    feed_forward: int = 0
    norms: int = 0
    output: int = 0
    router: int = 0
    experts: int = 0
    other_experts: int = 0
    gates: int = 0
    module: int = 0

    @property
    def total(self) -> int:
        """Number of all parameters."""
        return _sum_fields(self)

    @property
    def non_embedding(self) -> int:
        """Parameters without vocabulary table, output matrix and position table (Kaplan's N)."""
        return self.layer_matrices + self.norms

    @property
    def layer_matrices(self) -> int:
        """Parameters of all layers but the gains of their normalizations."""
        return self.attention + self.feed_forwards + self.gates + self.module

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
    """FLOPs for one sequence, by operation, summed over layers; what is left out takes none.

    An LSTM has `gates` (products of the gates with a layer's input) and `recurrence` (with the
    state before). `module` is everything in a user's own module but a lookup.
    """

    embedding: int = 0
    qkv: int = 0
    scores: int = 0
    softmax: int = 0
    values: int = 0
    projection: int = 0
    feed_forward: int = 0
    norms: int = 0
    logits: int = 0
    router: int = 0
    experts: int = 0
    gates: int = 0
    recurrence: int = 0
    module: int = 0

    @property
    def total(self) -> int:
        """FLOPs summed over operations."""
        return _sum_fields(self)


def dense_logits(shape: Shape) -> int:
    """FLOPs of the product of features and the output matrix, for one sequence."""
    return 2 * shape.seq_len * shape.d_model * shape.vocab_size


def lookup_as_product(shape: Shape) -> int:
    """FLOPs of the embedding of one sequence, were it a product with one-hot rows."""
    return 2 * shape.seq_len * shape.vocab_size * shape.d_model


def _sum_fields(counts: ParamCount | OpFlops) -> int:
    return sum(getattr(counts, f.name) for f in fields(counts))
