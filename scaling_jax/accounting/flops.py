"""Parameters and FLOPs of a model, in exact Python integers.

A multiply-accumulate counts as two FLOPs. Four conventions are in use, and the exponents of
a scaling law depend on the convention:

- `exact`: the matrix multiplications this package executes. Attention scores are full
  `seq_len x seq_len` squares, also where a kernel skips what the causal mask hides (`causal`
  counts what is left); an embedding lookup multiplies nothing, and element-wise work is left out.
- `chinchilla`: Hoffmann et al. 2022 (arXiv 2203.15556), Appendix F as written: the lookup
  counted as a product with one-hot rows, and 3 FLOPs per attention weight for the softmax.
- `kaplan`: 6 N D with N without embeddings (Kaplan et al. 2020, arXiv 2001.08361, Section 2.1).
- `6nd`: 6 N D with N the total count.

What each architecture counts is in `scaling_jax.architectures`. For a mixture of experts the last
two count the active parameters, which one token uses: 6 N D
stands for the work on a token, and the other experts do none. `exact` and `chinchilla` count the
products of every row of the experts, filled or empty, which are `capacity` times as many.

All four put the backward pass at twice the forward. For `exact` that too is a count, not a
rule of thumb: each product `C = A B` has the two gradient products `dC Bᵀ` and `Aᵀ dC`. Even
the first layer needs both, since its input is the embedding, which is trained.
"""

import functools

from scaling_jax.architectures import architecture_of
from scaling_jax.architectures.counts import CONVENTIONS as CONVENTIONS
from scaling_jax.architectures.counts import Convention as Convention
from scaling_jax.architectures.counts import OpFlops as OpFlops
from scaling_jax.architectures.counts import ParamCount as ParamCount
from scaling_jax.config import Shape
from scaling_jax.errors import InputError

BACKWARD_PER_FORWARD = 2


# Cached, because a study repeats the same counts for every run of a shape.
@functools.lru_cache(maxsize=4096)
def count_params(shape: Shape) -> ParamCount:
    """Parameters of the model that this package builds for `shape`, by component."""
    return architecture_of(shape).params(shape)


def forward_ops(shape: Shape, convention: Convention = "exact", *, causal: bool = False) -> OpFlops:
    """FLOPs of the forward pass over one sequence of `shape.seq_len` tokens.

    With `causal`, the conventions that count attention scores count only those on and below the
    diagonal.

    Raises:
        InputError: an unknown convention.
    """
    if convention not in CONVENTIONS:
        raise InputError(
            f"FLOP convention {convention!r} is unknown: choose one of {', '.join(CONVENTIONS)}"
        )
    pairs = shape.seq_len * (shape.seq_len + 1) // 2 if causal else shape.seq_len**2
    return architecture_of(shape).forward_ops(shape, convention, pairs)


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


def flops_counted_by(shape: Shape) -> str:
    """`formula`; or `program` for a user's own module whose traced program was counted."""
    return "formula" if shape.module is None else shape.module.counted_by
