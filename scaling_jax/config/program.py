"""What runs share that one compiled program trains."""

import dataclasses

from scaling_jax.config.evaluation import LogSpaced
from scaling_jax.config.optimizer import without_horizon
from scaling_jax.config.run import RunConfig


def program_of(config: RunConfig) -> RunConfig:
    """`config` with fixed values for everything in which runs of one program may differ.

    One program can train two runs if the results are equal.
    """
    optimizer = without_horizon(config.optimizer)
    # All points with a share take one evaluation program, whatever the share is.
    shares = isinstance(config.eval_every, LogSpaced) and config.eval_every.share is not None
    every = None if config.eval_every is None else LogSpaced(share=1.0 if shares else None)
    noise = config.noise_scale
    noise = None if noise is None else dataclasses.replace(noise, every=LogSpaced())
    return dataclasses.replace(
        config,
        optimizer=optimizer,
        steps=1,
        seed=0,
        eval_every=every,
        noise_scale=noise,
        start=None,
    )
