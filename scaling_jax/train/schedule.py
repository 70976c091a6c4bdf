"""The learning rate of each step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.config import RunConfig


class Horizon(NamedTuple):
    """What of a schedule varies between runs of one shape: traced, so they share a program."""

    peak_lr: jax.Array
    warmup_steps: jax.Array
    steps: jax.Array
    final_lr_fraction: jax.Array

    @classmethod
    def of(cls, config: RunConfig) -> "Horizon":
        """The horizon of one run, float32 scalars."""
        optimizer = config.optimizer
        values = (
            optimizer.peak_lr,
            optimizer.warmup_steps,
            config.steps,
            optimizer.final_lr_fraction,
        )
        return cls(*(jnp.float32(value) for value in values))


def learning_rate(step: jax.Array, horizon: Horizon) -> jax.Array:
    """Learning rate of the update from `step` to `step + 1`, counting from 0.

    Linear from `peak_lr / warmup_steps` up to the peak, then a cosine that reaches
    `final_lr_fraction * peak_lr` at exactly the run's last update (Hoffmann et al. 2022,
    section 3.1: the cosine's length must match the run's).
    """
    step = step.astype(jnp.float32)
    warmup = (step + 1) / jnp.maximum(horizon.warmup_steps, 1)
    decay_steps = jnp.maximum(horizon.steps - 1 - horizon.warmup_steps, 1)
    progress = jnp.clip((step - horizon.warmup_steps) / decay_steps, 0, 1)
    cosine = 0.5 * (1 + jnp.cos(jnp.pi * progress))
    decayed = horizon.final_lr_fraction + (1 - horizon.final_lr_fraction) * cosine
    return horizon.peak_lr * jnp.minimum(warmup, decayed)
