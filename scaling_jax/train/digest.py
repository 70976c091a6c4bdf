"""A number by which a state read back is known to be the one that was saved."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Odd, so that what is multiplied by it is not lost modulo 2^32.
_STEP = np.uint32(0x9E3779B1)


def digest(state: Any) -> int:
    """A 32-bit sum over every bit of every array, each weighed by its place.

    The same however the arrays are laid out on devices. No change of a single number keeps it,
    and any other but one time in four billion.
    """
    leaves = jax.tree.leaves(state)
    return int(_program(jax.default_backend() == "cpu")(leaves))


@cache
def _program(on_cpu: bool) -> Any:
    # It runs for a moment, and takes longer to compile.
    options = {"xla_backend_optimization_level": 1} if on_cpu else None
    return jax.jit(_digest, compiler_options=options)


def _digest(leaves: list[jax.Array]) -> jax.Array:
    total = jnp.uint32(0)
    for leaf in leaves:
        total = total * _STEP + _digest_of(leaf)
    return total


def _digest_of(leaf: jax.Array) -> jax.Array:
    bits = leaf.astype(jnp.uint32)
    if leaf.dtype.itemsize == 4:
        bits = jax.lax.bitcast_convert_type(leaf, jnp.uint32)
    place = jnp.zeros(leaf.shape, jnp.uint32)
    for axis, size in enumerate(leaf.shape):
        place = place * np.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
    return (bits * (2 * place + 1)).sum(dtype=jnp.uint32)
