"""A checksum of a training state, by which a damaged checkpoint is recognized."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Odd, so that multiplication by it is invertible modulo 2^32.
_STEP = np.uint32(0x9E3779B1)


def digest(state: Any) -> int:
    """A 32-bit checksum of all arrays: the sum of their bits, weighted by position.

    It does not depend on the arrays' shardings. It changes with every change of a single number;
    other changes go undetected with a probability of one in four billion.
    """
    leaves = jax.tree.leaves(state)
    return int(_program(jax.default_backend() == "cpu")(leaves))


def traced_digest(abstract_state: Any) -> Any:
    """The program that computes the digest of such a state, to be lowered for its devices."""
    return _program(on_cpu=False).trace(jax.tree.leaves(abstract_state))


@cache
def _program(on_cpu: bool) -> Any:
    # The program runs for less time than it takes to compile, so optimize it less.
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
