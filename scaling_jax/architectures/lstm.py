"""Counts of stacked LSTM layers between the transformer's embedding and output matrix.

A layer has four gates, each with a matrix for the layer's input, a matrix for the state before and
a bias: 8 d_model² + 4 d_model parameters, and the gain of the normalization of its input.
"""

from scaling_jax.architectures.counts import (
    Convention,
    OpFlops,
    ParamCount,
    dense_logits,
    lookup_as_product,
)
from scaling_jax.config import Shape

GATES = 4

AXES: dict[str, tuple[str | None, ...]] = {
    "gates_input": ("layers", "embed", None, "mlp"),
    "gates_state": ("layers", "embed", None, "mlp"),
}


def params(shape: Shape) -> ParamCount:
    """Parameters of the model that this package builds for `shape`, by component."""
    d, layers = shape.d_model, shape.n_layers
    table = shape.vocab_size * d
    return ParamCount(
        embedding=table,
        norms=(layers + 1) * d,
        output=0 if shape.tied_embedding else table,
        gates=layers * GATES * d * (2 * d + 1),
    )


def forward_ops(shape: Shape, convention: Convention, pairs: int) -> OpFlops:
    """FLOPs of the forward pass over one sequence. An LSTM has no scores, whatever `pairs` is."""
    s, counted = shape.seq_len, params(shape)
    if convention in ("exact", "chinchilla"):
        square = 2 * s * shape.n_layers * GATES * shape.d_model**2
        lookup = lookup_as_product(shape) if convention == "chinchilla" else 0
        return OpFlops(
            embedding=lookup, gates=square, recurrence=square, logits=dense_logits(shape)
        )
    has_tables = convention == "6nd"
    lookup = 0 if shape.tied_embedding or not has_tables else 2 * s * counted.embedding
    recurrent = shape.n_layers * GATES * shape.d_model**2
    return OpFlops(
        embedding=lookup,
        gates=2 * s * (counted.gates - recurrent),
        recurrence=2 * s * recurrent,
        norms=2 * s * counted.norms,
        logits=dense_logits(shape) if has_tables else 0,
    )


def split(shape: Shape) -> dict[str, int]:
    """Sizes that the mesh axis `tensor` must divide, each with its name."""
    return {"d_ff": shape.d_ff}
