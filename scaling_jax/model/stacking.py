"""Conversions between layers stacked along a leading axis and one parameter tree per layer.

Checkpoints store the stacked form.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def stack_layers(tree: Any) -> Any:
    """`tree` with the `blocks` of every model in it stacked along a leading axis."""

    def stack(blocks: dict) -> Any:
        layers = [blocks[i] for i in range(len(blocks))]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)

    return map_blocks(tree, stack)


def unstack_layers(tree: Any) -> Any:
    """`tree` with the `blocks` of every model in it as one tree per layer, if they are stacked."""

    def unstack(blocks: dict) -> Any:
        return blocks if 0 in blocks else dict(enumerate(layers_of(blocks)))

    return map_blocks(tree, unstack)


def layers_of(stacked: Any) -> list[Any]:
    """One tree per layer, from a tree whose leaves are stacked over layers."""
    # The gradient of a split is one concatenation; that of slices is a sum of padded arrays.
    leaves, treedef = jax.tree.flatten(stacked)
    n_layers = leaves[0].shape[0]
    per_leaf = [jax.lax.split(leaf, [1] * n_layers) for leaf in leaves]
    return [
        jax.tree.unflatten(treedef, [parts[i].reshape(parts[i].shape[1:]) for parts in per_leaf])
        for i in range(n_layers)
    ]


def map_blocks(tree: Any, change: Callable[[dict], Any]) -> Any:
    """`tree` with `change` applied to the `blocks` of every model's parameters or moments in it."""

    def is_model(node: Any) -> bool:
        return isinstance(node, dict) and "blocks" in node

    return jax.tree.map(
        lambda node: node | {"blocks": change(node["blocks"])} if is_model(node) else node,
        tree,
        is_leaf=is_model,
    )
