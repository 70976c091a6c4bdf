"""FLOPs of held-out evaluations, which no count of training FLOPs includes."""

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig


def evaluation_flops(config: RunConfig, points: int, ends: int = 1) -> int:
    """FLOPs of `points` evaluations along a run and of `ends` at its end, on all held-out
    sets of text; tasks come on top.

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
    n_of_end = config.n_held_out_windows * (1 + config.eval_details)
    of_window = config.n_held_out_sets * flops.forward_ops(config.shape).total
    return of_window * (points * config.n_curve_windows + ends * n_of_end)
