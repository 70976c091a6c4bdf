"""The standard error that held-out losses will have, as far as it is known before training."""

import math
from collections.abc import Iterable

from scaling_jax.config import RunConfig

# A law that extrapolates needs losses better than this share of themselves.
MOST_ERROR = 0.001
# Standard deviation of a window's mean loss over the mean of all windows: 0.13 on bytes of the
# embedded text (217 runs, windows of 128), 0.04 on its pieces of a vocabulary of 1,024 (7 runs,
# windows of 64), 0.04 to 0.21 on generated music, sound, images and languages (windows of 32).
_SPREAD, _LEAST, _GREATEST = 0.1, 0.04, 0.21


def expected_error(config: RunConfig) -> float:
    """About the standard error of a run's held-out loss, as a share of the loss.

    It is a rule of thumb: a window's loss spreads by a tenth of the loss, which texts differ in by
    a factor of two either way.
    """
    return _SPREAD / math.sqrt(max(config.n_held_out_windows, 1))


def held_out_warning(configs: Iterable[RunConfig]) -> str:
    """A sentence if a run's expected standard error of its held-out loss exceeds 0.1 %."""
    worst = max(configs, key=expected_error, default=None)
    if worst is None or (error := expected_error(worst)) <= MOST_ERROR:
        return ""
    windows = math.ceil((_SPREAD / MOST_ERROR) ** 2)
    return (
        f"A loss on {worst.n_held_out_windows:,} windows has a standard error of about "
        f"{error:.2%} (rule of thumb: windows spread by a tenth of the loss; {_LEAST:.0%} to "
        f"{_GREATEST:.0%} were measured), most of which runs on the same windows share; "
        f"{MOST_ERROR:.1%} takes eval_tokens {windows * worst.shape.seq_len:,}, as far as the "
        "held-out text has them."
    )
