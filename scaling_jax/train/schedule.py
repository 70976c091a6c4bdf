"""The learning rate of each step."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling_jax.config import RunConfig, ScheduleName
from scaling_jax.config.run import descent_start

# What is left of the peak, above the final learning rate, after a share x of the descent. The
# square root is the cooldown of Hägele et al. 2024 (2405.18392), better than a line there.
_LEFT: dict[ScheduleName, Callable[[jax.Array], jax.Array]] = {
    "cosine": lambda x: 0.5 * (1 + jnp.cos(jnp.pi * x)),
    "linear": lambda x: 1 - x,
    "constant": jnp.ones_like,
    "wsd": lambda x: 1 - jnp.sqrt(x),
}


class Horizon(NamedTuple):
    """What of a schedule varies between runs of one shape: traced, so they share a program.

    The descent starts after update `descent_start` and lasts `descent_steps` updates.
    """

    peak_lr: jax.Array
    warmup_steps: jax.Array
    descent_start: jax.Array
    descent_steps: jax.Array
    final_lr_fraction: jax.Array

    @classmethod
    def of(cls, config: RunConfig) -> "Horizon":
        """The horizon of one run, float32 scalars."""
        optimizer, start = config.optimizer, descent_start(config)
        end = round(optimizer.cycle * config.steps) - 1
        steps = max(end - start, 1)
        values = (optimizer.peak_lr, optimizer.warmup_steps, start, steps, optimizer.final_fraction)
        return cls(*(jnp.float32(value) for value in values))


def learning_rate(step: jax.Array, horizon: Horizon, schedule: ScheduleName) -> jax.Array:
    """Learning rate of the update from `step` to `step + 1`, counting from 0.

    Linear from `peak_lr / warmup_steps` up to the peak, then down to `final_lr_fraction *
    peak_lr`, which is reached at exactly the run's last update: from the end of the warm-up for
    `cosine` and `linear`, over the last `cooldown_share` of the run for `wsd`. A descent
    longer than the run, by `cycle`, stops above it (Hoffmann et al. 2022, section 3.1: the cosine's
    length must match the run's). `constant` stays at the peak, and so does a run that ends with its
    warm-up or whose cooldown rounds to no update.
    """
    step = step.astype(jnp.float32)
    warmup = (step + 1) / jnp.maximum(horizon.warmup_steps, 1)
    progress = jnp.clip((step - horizon.descent_start) / horizon.descent_steps, 0, 1)
    floor = horizon.final_lr_fraction
    return horizon.peak_lr * jnp.minimum(warmup, floor + (1 - floor) * _LEFT[schedule](progress))
