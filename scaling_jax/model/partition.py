"""Logical names of the axes of activations, which the caller's rules map to mesh axes."""

import math
from collections.abc import Callable
from typing import Any

import jax
from flax.core.spmd import get_logical_axis_rules
from jax.sharding import PartitionSpec


def constrain(x: jax.Array, *axes: str | None) -> jax.Array:
    """Shard `x` by the active logical axis rules; `axes` name the leading dimensions of `x`.

    Without rules `x` is returned unchanged. A dimension that does not divide evenly is replicated.
    """
    rules = dict(get_logical_axis_rules())
    if not rules:
        return x
    split = [
        rules.get(axis or "") if size % n_shares(axis) == 0 else None
        for axis, size in zip(axes, x.shape, strict=False)
    ]
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*split))


def n_shares(axis: str | None) -> int:
    """Number of shards of a logical axis under the active rules."""
    over = dict(get_logical_axis_rules()).get(axis or "") or ()
    sizes = jax.sharding.get_abstract_mesh().shape
    return math.prod(sizes[name] for name in ([over] if isinstance(over, str) else over))


def batch_sums(of_rows: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """`of_rows(rows, whole) -> (sums over rows, rows)`, with one sum over devices at the end.

    Without this, XLA would sum over devices in every iteration of a loop in `of_rows`.
    """
    rules = dict(get_logical_axis_rules())
    axes = rules.get("batch")
    # A sum over axes that all have size 1 is none, and XLA's partitioner refuses it.
    if not axes or n_shares("batch") == 1:
        return of_rows

    def on_each(rows: Any, whole: Any) -> tuple[Any, Any]:
        sums, by_row = of_rows(rows, whole)
        return jax.lax.psum(sums, axes), by_row

    split, everywhere = PartitionSpec(axes), PartitionSpec()
    return jax.shard_map(
        on_each,
        in_specs=(split, everywhere),
        out_specs=(everywhere, split),
        # Also manual over replicas, because a caller's `vmap` shards everything over them.
        axis_names={*axes, rules["replica"]},
        check_vma=False,
    )
