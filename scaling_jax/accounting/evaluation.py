"""FLOPs of a run's measurements, which no count of training FLOPs includes."""

from collections.abc import Sequence

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig


def evaluation_flops(
    config: RunConfig, points: int, ends: int = 1, windows: Sequence[int] | None = None
) -> int:
    """FLOPs of `points` evaluations along a run and of `ends` at its end, on all held-out
    sets of text; tasks come on top.

    `windows` has the number of windows of each set at the end, by default as many as the run asks
    for.

    >>> import scaling_jax as sj
    >>> from scaling_jax.config import DataConfig, OptimizerConfig
    >>> shape = sj.Shape(n_layers=2, d_model=64, n_heads=4, d_ff=256, vocab_size=256, seq_len=128)
    >>> optimizer = OptimizerConfig(peak_lr=1e-2, warmup_steps=10)
    >>> config = sj.RunConfig(
    ...     shape, DataConfig(), optimizer, batch_size=8, steps=100, eval_tokens=4096
    ... )
    >>> 3 * evaluation_flops(config, points=0) == flops.training_flops(shape, 4096)
    True
    """
    # Losses by position take a second pass over the windows of the end.
    passes = ends * (1 + config.eval_details)
    counts = windows or [config.n_held_out_windows] * config.n_held_out_sets
    evaluated = sum(points * min(n, config.n_curve_windows) + passes * n for n in counts)
    return evaluated * flops.forward_ops(config.shape).total


def noise_flops(config: RunConfig, measurements: int) -> int:
    """FLOPs of `measurements` of the gradient noise scale, each of which has every gradient twice.

    The result is 0 for a run without a `noise_scale`.
    """
    if config.noise_scale is None:
        return 0
    tokens = 2 * config.noise_scale.sequences * config.shape.seq_len
    return measurements * flops.training_flops(config.shape, tokens, "exact")
