"""Every parameter and FLOP count of a shape, side by side."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from scaling_jax import formatting
from scaling_jax.accounting import flops as counting
from scaling_jax.config import Shape
from scaling_jax.errors import InputError
from scaling_jax.text_table import Table

# Rows that a dense model does not need.
_EXPERT_ROWS = ("router", "experts", "other_experts", "active_non_embedding")
# Rows of other architectures, which are left out where they are 0.
_OTHERS = ("gates", "recurrence", "module")


def shape_of(options: Mapping[str, Any]) -> Shape:
    """A shape from the fields that are given; the others are None or have their default values.

    The feed-forward width is by default 4 x d_model, and d_model for an lstm.

    Raises:
        InputError: a field that every shape needs is not given, or no shape has such fields.
    """
    given = dict(options)
    is_lstm = given["architecture"] == "lstm"
    if is_lstm:
        given["n_heads"] = given["n_heads"] or 1
    needed = ("n_layers", "d_model", "n_heads", "vocab_size", "seq_len")
    missing = [f"--{name.replace('_', '-')}" for name in needed if given[name] is None]
    if missing:
        raise InputError(f"a shape also needs {', '.join(missing)} (or give a CONFIG.json)")
    if given["d_ff"] is None:
        given["d_ff"] = given["d_model"] * (1 if is_lstm else 4)
    return Shape(**given)


def shape_account(shape: Shape, tokens: float | None = None) -> dict[str, Any]:
    """The counts of a shape as plain data, FLOPs under every convention.

    With `tokens`, also the training FLOPs on that many tokens, in whole tokens.

    Raises:
        InputError: fewer tokens than one, or infinitely many.
    """
    if tokens is not None and not 1 <= tokens < math.inf:
        raise InputError(f"--tokens {tokens:g} must be at least 1 and finite")
    params = counting.count_params(shape)
    forward = {name: counting.forward_ops(shape, name) for name in counting.CONVENTIONS}
    account: dict[str, Any] = {
        "shape": dataclasses.asdict(shape),
        "flops_counted_by": counting.flops_counted_by(shape),
        "params": {
            **dataclasses.asdict(params),
            "total": params.total,
            "non_embedding": params.non_embedding,
            "active": params.active,
            "active_non_embedding": params.active_non_embedding,
        },
        # Each count is a multiple of the sequence length.
        "forward_flops_per_token": {
            name: {k: v // shape.seq_len for k, v in dataclasses.asdict(ops).items()}
            for name, ops in forward.items()
        },
        "training_flops_per_token": {
            name: counting.training_flops(shape, 1, name) for name in counting.CONVENTIONS
        },
    }
    if tokens is not None:
        account["tokens"] = int(tokens)
        account["training_flops"] = {
            name: counting.training_flops(shape, int(tokens), name) for name in counting.CONVENTIONS
        }
    return account


def account_tables(account: dict[str, Any]) -> tuple[Table, Table]:
    """The account of a shape as two tables: parameters, and FLOPs per token by operation."""
    forward, training = account["forward_flops_per_token"], account["training_flops_per_token"]
    left_out = _left_out(account)
    params = [(name, f"{n:,}") for name, n in account["params"].items() if name not in left_out]
    operations = [op for op in forward["exact"] if op not in left_out]
    rows = [(op, *(f"{forward[c][op]:,}" for c in forward)) for op in operations]
    rows.append(("forward", *(f"{sum(ops.values()):,}" for ops in forward.values())))
    rows.append(("forward + backward", *(f"{n:,}" for n in training.values())))
    columns = ("FLOPs per token", *forward)
    return (
        Table(("parameters", "count"), params, left=("parameters",)),
        Table(columns, rows, left=columns[:1]),
    )


def _left_out(account: dict[str, Any]) -> set[str]:
    """Rows that the shape's architecture does not have."""
    shape, params = account["shape"], account["params"]
    left_out = set(_EXPERT_ROWS if shape["n_experts"] == 1 else ())
    ops = account["forward_flops_per_token"].values()
    names = {name for counts in (params, *ops) for name in counts}
    used = {name for counts in (params, *ops) for name, n in counts.items() if n}
    is_transformer = shape["architecture"] in ("transformer", "recurrent")
    return left_out | ((set(_OTHERS) if is_transformer else names) - used)


def training_sentence(account: dict[str, Any]) -> str:
    """A sentence with the training FLOPs of an account that was made with `tokens`."""
    spent = account["training_flops"].items()
    counts = ", ".join(f"{name} {formatting.flops(n, 4)}" for name, n in spent)
    return f"Training on {account['tokens']:,} tokens: {counts} FLOPs"
