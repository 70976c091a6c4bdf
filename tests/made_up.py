"""Results of runs that nobody trained."""

import math
from typing import Any

from scaling_jax.config import RunConfig
from scaling_jax.runs.result import Result


def made_up_result(config: RunConfig, loss: float | None, **changes: Any) -> Result:
    """The result of a run of `config` with the held-out loss `loss`; diverged if None."""
    known = dict(
        status="diverged" if loss is None else "finished",
        steps=config.steps,
        tokens=config.tokens,
        unique_tokens=config.tokens,
        loss=loss,
        loss_stderr=None if loss is None else 0.01,
        bits_per_byte=None if loss is None else loss / math.log(2),
        train_loss=loss,
        tokens_per_second=1e5,
        data_fingerprint="0123",
        device="cpu",
        seconds={"train": config.tokens / 1e5},
    )
    return Result(**(known | changes))
