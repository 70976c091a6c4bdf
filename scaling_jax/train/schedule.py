"""Learning-rate schedules as functions of the step and a traced horizon."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scaling_jax.config import RunConfig, ScheduleName
from scaling_jax.config.dropout import NO_DROPOUT
from scaling_jax.config.run import descent_start

# Learning rate after a fraction x of the descent, between the final one (0) and the peak (1). The
# square root is the cooldown of Hägele et al. 2024 (2405.18392), where it was better than a line.
_LEFT: dict[ScheduleName, Callable[[jax.Array], jax.Array]] = {
    "cosine": lambda x: 0.5 * (1 + jnp.cos(jnp.pi * x)),
    "linear": lambda x: 1 - x,
    "constant": jnp.ones_like,
    "wsd": lambda x: 1 - jnp.sqrt(x),
}


class Horizon(NamedTuple):
    """The numbers of a schedule, as arguments of the program that runs of one shape share.

    The descent starts after update `descent_start` and lasts `descent_steps` updates. `seed` is
    that of dropout, and `ramp_steps` the number of steps with smaller batches. The weights after
    the steps beyond `average_after` are averaged. These three are None in programs without
    dropout, a batch ramp or an average.
    """

    peak_lr: jax.Array
    warmup_steps: jax.Array
    descent_start: jax.Array
    descent_steps: jax.Array
    final_lr_fraction: jax.Array
    seed: jax.Array | None = None
    ramp_steps: jax.Array | None = None
    average_after: jax.Array | None = None

    @classmethod
    def of(cls, config: RunConfig) -> "Horizon":
        """The horizon of one run, as scalars."""
        optimizer, start = config.optimizer, descent_start(config)
        end = round(optimizer.cycle * config.steps) - 1
        steps = max(end - start, 1)
        values = (optimizer.peak_lr, optimizer.warmup_steps, start, steps, optimizer.final_fraction)
        ramp = config.batch_ramp
        return cls(*(jnp.float32(value) for value in values))._replace(
            seed=None if config.dropout == NO_DROPOUT else jnp.uint32(config.seed),
            ramp_steps=None if ramp is None else jnp.int32(ramp.steps(config.steps)),
            average_after=jnp.int32(config.steps - optimizer.averaged_steps(config.steps))
            if optimizer.averages
            else None,
        )


def learning_rate(step: jax.Array, horizon: Horizon, schedule: ScheduleName) -> jax.Array:
    """Learning rate of the update from `step` to `step + 1`, counted from 0.

    Under a batch ramp `step` can be a fraction, whose update ends with the tokens of `step + 1`.
    It rises linearly from `peak_lr / warmup_steps` to the peak, and then falls to
    `final_lr_fraction * peak_lr` at exactly the run's last update: from the end of the warm-up for
    `cosine` and `linear`, over the last `cooldown_share` of the run for `wsd`. With `cycle` above
    1 the descent is longer than the run and ends above that value (Hoffmann et al. 2022, section
    3.1: the cosine's length must match the run's). It stays at the peak for `constant`, for a run
    that ends with its warm-up, and for a cooldown that rounds to no update.
    """
    step = step.astype(jnp.float32)
    warmup = (step + 1) / jnp.maximum(horizon.warmup_steps, 1)
    progress = jnp.clip((step - horizon.descent_start) / horizon.descent_steps, 0, 1)
    floor = horizon.final_lr_fraction
    return horizon.peak_lr * jnp.minimum(warmup, floor + (1 - floor) * _LEFT[schedule](progress))


def learning_rates(config: RunConfig) -> np.ndarray:
    """The learning rate of each of a run's steps."""
    steps = jnp.arange(config.steps)
    return np.asarray(learning_rate(steps, Horizon.of(config), config.optimizer.schedule))
