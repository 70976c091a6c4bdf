"""Counts of a user's own module, which its shape holds."""

from scaling_jax.architectures.counts import Convention, OpFlops, ParamCount, lookup_as_product
from scaling_jax.config import OwnModule, Shape


def params(shape: Shape) -> ParamCount:
    """Parameters of the module: its tables and output matrix, and everything else."""
    own = _own(shape)
    return ParamCount(embedding=own.params - own.non_embedding, module=own.non_embedding)


def forward_ops(shape: Shape, convention: Convention, pairs: int) -> OpFlops:
    """FLOPs of the forward pass over one sequence; what a causal mask hides is not known.

    `chinchilla` adds the lookup to `exact`, and no softmax.
    """
    own = _own(shape)
    lookup, s = 0, shape.seq_len
    if convention == "chinchilla":
        lookup = lookup_as_product(shape)
    counted = own.forward_flops
    if convention in ("kaplan", "6nd"):
        counted = 2 * s * (own.params if convention == "6nd" else own.non_embedding)
    return OpFlops(embedding=lookup, module=counted)


def split(shape: Shape) -> dict[str, int]:
    """Sizes that the mesh axis `tensor` must divide: 1, since an own module is not split by it."""
    return {f"the parts of your own module {_own(shape).name}": 1}


def _own(shape: Shape) -> OwnModule:
    assert shape.module is not None
    return shape.module
