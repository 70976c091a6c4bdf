"""Dimensions and variant switches of a model."""

import math
from dataclasses import dataclass
from typing import Literal

from scaling_jax.config.own_module import OwnModule
from scaling_jax.config.strict import (
    divisors,
    later,
    require_one_of,
    require_positive,
    settle_numbers,
)
from scaling_jax.errors import InputError
from scaling_jax.formatting import Readable

Positions = Literal["rotary", "learned"]
Activation = Literal["gelu", "swiglu"]
ArchitectureName = Literal["transformer", "recurrent", "lstm", "module"]

# The largest capacity factor in table 1 of Fedus et al. 2022 (2101.03961). They share an expert's
# rows among the sequences of a batch. Here each sequence has its own rows, which fill up sooner.
DEFAULT_CAPACITY = 2.0


@dataclass(frozen=True)
class Shape(Readable):
    """Dimensions and variants of a decoder-only transformer, or of another architecture.

    >>> import scaling_jax as sj
    >>> shape = sj.Shape(n_layers=2, d_model=64, n_heads=4, d_ff=256, vocab_size=256, seq_len=128)
    >>> shape.head_dim, shape.n_kv_heads
    (16, 4)

    Attributes:
        n_layers: number of blocks.
        d_model: width of the residual stream.
        n_heads: number of query heads.
        d_ff: width of the feed-forward layer, or of one expert. SwiGLU has two input matrices of
            this width.
        vocab_size: number of token ids.
        seq_len: context length in tokens.
        head_dim: width of one head, by default `d_model / n_heads`. Some published shapes have
            `n_heads * head_dim != d_model`.
        n_kv_heads: number of key/value heads (grouped-query attention), by default `n_heads`.
        positions: rotary embeddings of queries and keys, or a learned table.
        activation: GELU (two matrices) or SwiGLU (three).
        tied_embedding: whether the output matrix is the transposed embedding.
        qk_norm: whether queries and keys are RMS-normalized.
        n_experts: experts in each layer; 1 is a dense model.
        experts_per_token: experts that the router chooses for a token.
        capacity: rows of an expert for each sequence, as a multiple of the rows that it needs if
            all experts get the same number of tokens. An expert that is full skips later tokens.
        architecture: the transformer; `recurrent`, a transformer whose blocks are applied several
            times; `lstm`, blocks with a long short-term memory of `d_ff` = `d_model` cells and no
            heads (`n_heads` 1); or `module`, a user's own Flax module.
        passes: how many times a recurrent transformer applies its blocks, one after another.
        module: the user's module and its counts, if the architecture is one.

    Raises:
        InputError: a size below 1, `n_heads` that does not divide `d_model`, `n_kv_heads` that
            does not divide `n_heads`, an odd head size under rotary positions, an unknown variant,
            `experts_per_token` above `n_experts`, a capacity that is not positive, a capacity
            set for a dense model, or a field that has no effect in the architecture.
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
    architecture: ArchitectureName = later("transformer")
    passes: int = later(1)
    module: OwnModule | None = later(None)

    def __post_init__(self) -> None:
        settle_numbers(self)
        for name in ("n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "seq_len", "passes"):
            require_positive(name, getattr(self, name))
        _check_architecture(self)
        _check_experts(self.n_experts, self.experts_per_token, self.capacity)
        require_one_of("positions", self.positions, Positions)
        require_one_of("activation", self.activation, Activation)
        _fill(self, "head_dim", self._default_head_dim())
        _fill(self, "n_kv_heads", self.n_heads)
        if self.n_heads % self.kv_heads:
            raise InputError(
                f"n_kv_heads {self.kv_heads} does not divide n_heads {self.n_heads}: choose one of "
                f"{divisors(self.n_heads)}"
            )
        has_heads = self.architecture in ("transformer", "recurrent")
        if has_heads and self.positions == "rotary" and self.head_size % 2:
            raise InputError(
                f"head_dim {self.head_size} is odd, but rotary positions rotate pairs of channels: "
                'choose an even head_dim or positions "learned"'
            )

    def _default_head_dim(self) -> int:
        if self.head_dim is None and self.d_model % self.n_heads:
            raise InputError(
                f"n_heads {self.n_heads} does not divide d_model {self.d_model}: choose one of "
                f"{divisors(self.d_model)}, or set head_dim"
            )
        return self.d_model // self.n_heads

    @property
    def head_size(self) -> int:
        """`head_dim`, which is never None after construction."""
        assert self.head_dim is not None
        return self.head_dim

    @property
    def kv_heads(self) -> int:
        """`n_kv_heads`, which is never None after construction."""
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
        """Input matrices of a feed-forward layer: 1 for GELU, 2 for SwiGLU."""
        return 2 if self.activation == "swiglu" else 1

    @property
    def depth(self) -> int:
        """Blocks that a token passes through, one after another: `n_layers * passes`."""
        return self.n_layers * self.passes

    @property
    def architecture_name(self) -> str:
        """The architecture, or the name of the user's module."""
        return self.architecture if self.module is None else self.module.name

    @property
    def is_dense(self) -> bool:
        """Whether the model has no experts, so that every token uses every parameter."""
        return self.n_experts == 1

    def expert_rows(self, seq_len: int) -> int:
        """Rows of each expert for one sequence: `capacity` times an even share, rounded up."""
        share = self.capacity * seq_len * self.experts_per_token / self.n_experts
        return min(seq_len, math.ceil(share))


# Fields that have an effect in transformers alone, with their defaults.
_OF_TRANSFORMERS = {
    "head_dim": None,
    "n_kv_heads": None,
    "positions": "rotary",
    "activation": "gelu",
    "qk_norm": False,
    "n_experts": 1,
    "experts_per_token": 1,
}


def _check_architecture(shape: Shape) -> None:
    require_one_of("architecture", shape.architecture, ArchitectureName)
    if shape.passes > 1 and shape.architecture != "recurrent":
        raise InputError(
            f"passes {shape.passes} has no effect in the architecture {shape.architecture!r}: "
            "leave it out, or choose 'recurrent'"
        )
    if (shape.module is None) != (shape.architecture != "module"):
        raise InputError(
            f"the architecture {shape.architecture!r} and the module {shape.module} do not belong "
            "together: shapes of your own module come from Family(architecture=own_module(...))"
        )
    if shape.architecture == "lstm":
        _check_lstm(shape)


def _check_lstm(shape: Shape) -> None:
    # The head size of one head is the width, which JSON holds once the shape was made.
    wanted = _OF_TRANSFORMERS | {"n_heads": 1, "d_ff": shape.d_model}
    own = {"head_dim": shape.d_model, "n_kv_heads": 1}
    for name, only in wanted.items():
        if getattr(shape, name) not in (only, own.get(name, only)):
            raise InputError(
                f"{name} {getattr(shape, name)} has no effect in the architecture 'lstm': it must "
                f"be {only}"
            )


def _check_experts(n_experts: int, experts_per_token: int, capacity: float) -> None:
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
            f"capacity {capacity} has no effect in a dense model: leave it out, or set n_experts"
        )


def _fill(shape: Shape, name: str, default: int) -> None:
    if getattr(shape, name) is None:
        object.__setattr__(shape, name, default)
    require_positive(name, getattr(shape, name))
