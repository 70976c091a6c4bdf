"""Dimensions and variant switches of a transformer."""

import math
from dataclasses import dataclass
from typing import Literal

from scaling_jax.config.strict import from_dict as from_dict
from scaling_jax.config.strict import later, settle_numbers
from scaling_jax.config.strict import require_one_of as require_one_of
from scaling_jax.config.strict import require_positive as require_positive
from scaling_jax.errors import InputError

Positions = Literal["rotary", "learned"]


Activation = Literal["gelu", "swiglu"]


# Fedus et al. 2022 (2101.03961): the weight that Switch Transformers are trained with, and the
# largest capacity of their table 1. They share rows among a batch; those of each sequence, as here,
# run out sooner.
DEFAULT_CAPACITY = 2.0


@dataclass(frozen=True)
class Shape:
    """Dimensions and variant switches of a decoder-only transformer.

    Attributes:
        n_layers: number of blocks.
        d_model: width of the residual stream.
        n_heads: number of query heads.
        d_ff: width of the feed-forward layer (of each of its two inputs for SwiGLU), or of one
            expert.
        vocab_size: number of token ids.
        seq_len: context length in tokens.
        head_dim: width of one head; `d_model / n_heads` when not given. Some published
            shapes have `n_heads * head_dim != d_model`, so it can be set apart.
        n_kv_heads: number of key/value heads (grouped queries); `n_heads` when not given.
        positions: rotary embeddings of queries and keys, or a learned table.
        activation: GELU, or SwiGLU (three matrices).
        tied_embedding: whether the output matrix is the embedding's transpose.
        qk_norm: whether queries and keys are RMS-normalized.
        n_experts: feed-forward layers that each layer's router chooses from; 1 is a dense model.
        experts_per_token: how many of them a token uses.
        capacity: rows that an expert has for a sequence, over those it needs if all get the same
            share; what comes when they are full is passed by.

    Raises:
        InputError: a size below 1, heads that do not divide the width, key/value heads that
            do not divide the heads, an odd head size under rotary positions, a variant that does
            not exist, more experts a token than there are, a capacity that is not positive, or
            either set for a dense model.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    vocab_size: int
    seq_len: int
    head_dim: int | None = None
    n_kv_heads: int | None = None
    positions: Positions = "rotary"
    activation: Activation = "gelu"
    tied_embedding: bool = True
    qk_norm: bool = False
    n_experts: int = later(1)
    experts_per_token: int = later(1)
    capacity: float = later(DEFAULT_CAPACITY)

    def __post_init__(self) -> None:
        settle_numbers(self)
        for name in ("n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len"):
            require_positive(name, getattr(self, name))
        _check_experts(self.n_experts, self.experts_per_token, self.capacity)
        require_one_of("positions", self.positions, Positions)
        require_one_of("activation", self.activation, Activation)
        _fill(self, "head_dim", self._default_head_dim())
        _fill(self, "n_kv_heads", self.n_heads)
        if self.n_heads % self.kv_heads:
            raise InputError(
                f"n_kv_heads {self.kv_heads} does not divide n_heads {self.n_heads}: choose one of "
                f"{_divisors(self.n_heads)}"
            )
        if self.positions == "rotary" and self.head_size % 2:
            raise InputError(
                f"head_dim {self.head_size} is odd, but rotary positions turn pairs of channels: "
                'choose an even head_dim or positions "learned"'
            )

    def _default_head_dim(self) -> int:
        if self.head_dim is None and self.d_model % self.n_heads:
            raise InputError(
                f"n_heads {self.n_heads} does not divide d_model {self.d_model}: choose one of "
                f"{_divisors(self.d_model)}, or set head_dim"
            )
        return self.d_model // self.n_heads

    @property
    def head_size(self) -> int:
        """Width of one head (`head_dim`, always known after construction)."""
        assert self.head_dim is not None
        return self.head_dim

    @property
    def kv_heads(self) -> int:
        """Number of key/value heads (`n_kv_heads`, always known after construction)."""
        assert self.n_kv_heads is not None
        return self.n_kv_heads

    @property
    def d_attn(self) -> int:
        """Width of all query heads together."""
        return self.n_heads * self.head_size

    @property
    def d_kv(self) -> int:
        """Width of all key (or value) heads together."""
        return self.kv_heads * self.head_size

    @property
    def n_inputs(self) -> int:
        """Inputs of the feed-forward layer's non-linearity, with a matrix each: SwiGLU has two."""
        return 2 if self.activation == "swiglu" else 1

    @property
    def is_dense(self) -> bool:
        """Whether every token uses every parameter: there are no experts."""
        return self.n_experts == 1

    def expert_rows(self, seq_len: int) -> int:
        """Rows that each expert has for a sequence: `capacity` times an even share, rounded up."""
        share = self.capacity * seq_len * self.experts_per_token / self.n_experts
        return min(seq_len, math.ceil(share))


def _check_experts(n_experts: int, experts_per_token: int, capacity: float) -> None:
    """Refuse experts that cannot be (`InputError`), as `Shape` does."""
    require_positive("n_experts", n_experts)
    require_positive("experts_per_token", experts_per_token)
    if experts_per_token > n_experts:
        raise InputError(
            f"experts_per_token {experts_per_token} is more than n_experts {n_experts}: choose at "
            f"most {n_experts}"
        )
    if not 0 < capacity < math.inf:
        raise InputError(f"capacity {capacity} must be positive and finite")
    if n_experts == 1 and capacity != DEFAULT_CAPACITY:
        raise InputError(
            f"capacity {capacity} means nothing in a dense model: leave it out, or set n_experts"
        )


def _fill(shape: Shape, name: str, default: int) -> None:
    if getattr(shape, name) is None:
        object.__setattr__(shape, name, default)
    require_positive(name, getattr(shape, name))


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
