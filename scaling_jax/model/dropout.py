"""Dropout whose masks follow from a key for each sequence of a batch.

A key follows from the run's seed, the step and the sequence's row in the batch. So masks depend
neither on how the batch is divided over microbatches, devices and packed runs, nor on where a run
was stopped and continued.
"""

import jax
import jax.numpy as jnp

# Folded into the seed, because the seed's own key initializes the parameters.
_PURPOSE = 0xD209


def sequence_keys(seed: jax.Array, step: jax.Array, n_sequences: int) -> jax.Array:
    """`key_B` for each sequence of a step's batch."""
    of_run = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), _PURPOSE)
    of_step = jax.random.fold_in(of_run, step)
    return jax.vmap(jax.random.fold_in, (None, 0))(of_step, jnp.arange(n_sequences))


def keys_at(place: int, key_B: jax.Array | None) -> jax.Array | None:
    """The keys of one of the places that share `key_B`; None without keys."""
    return None if key_B is None else jax.vmap(jax.random.fold_in, (0, None))(key_B, place)


def numbered(key_B: jax.Array, n: int) -> jax.Array:
    """`n` keys of each sequence, `key_BxN`."""
    fold = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))
    return fold(key_B, jnp.arange(n))


def drop(x_NxD: jax.Array, rate: float, key_B: jax.Array | None) -> jax.Array:
    """`x_NxD` with a share `rate` of its values set to 0, and the others divided by 1 - `rate`.

    `x_NxD` holds the rows of the sequences one after another. Without keys it is unchanged.
    """
    if key_B is None or not rate:
        return x_NxD
    factor_BxTxD = factors(rate, key_B, x_NxD.shape[0] // key_B.size, x_NxD.shape[1])
    return x_NxD * factor_BxTxD.reshape(x_NxD.shape).astype(x_NxD.dtype)


def factors(rate: float, keys: jax.Array, *dims: int) -> jax.Array:
    """For each key an array `dims` of 0 with probability `rate`, and of 1 / (1 - `rate`)."""

    def of_one(key: jax.Array) -> jax.Array:
        keeps = jax.random.bernoulli(key, 1 - rate, dims)
        return jnp.where(keeps, jnp.float32(1 / (1 - rate)), jnp.float32(0))

    return jax.vmap(of_one)(keys.reshape(-1)).reshape(*keys.shape, *dims)
