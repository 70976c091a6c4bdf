"""The gradient noise scale along the runs of a store, as a table."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig
from scaling_jax.config.strict import require_positive
from scaling_jax.errors import InputError, LeftOutWarning
from scaling_jax.study.store.loss_curves import noise_rows
from scaling_jax.study.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    *("run_id", "params", "batch_tokens", "step", "tokens"),
    *("noise_scale", "noise_scale_low", "noise_scale_high", "grad_sq", "noise", "measurements"),
]


def noise_scale(
    store: Store | os.PathLike | str, *, together: int = 1, level: float = 0.95
) -> "pd.DataFrame":
    """The gradient noise scale along every run that measures it, in tokens.

    `noise_scale` is `B_simple = tr(Sigma) / |G|^2` (McCandlish et al. 2018, 1812.06162) with the
    ends of its interval. `grad_sq` estimates `|G|^2` and `noise` estimates `tr(Sigma)` of the
    gradient of one sequence. The upper end is infinite where `|G|^2` cannot be distinguished from
    zero: then measure more sequences, or take several measurements `together`. `batch_tokens` is
    the run's own batch.

    Args:
        store: a store, a study's directory, or a root that holds one study.
        together: number of neighbouring measurements whose means make one row, at the mean of
            their tokens. The ratio is that of the means.
        level: of the intervals.

    Raises:
        InputError: no run of the store measures its noise, or an argument out of range.
    """
    import pandas as pd

    require_positive("together", together)
    if not 0 < level < 1:
        raise InputError(f"level {level} must lie between 0 and 1")
    store = store if isinstance(store, Store) else Store.open(store)
    runs = [run for run in store.runs() if run.planned.config.noise_scale is not None]
    if not runs:
        raise InputError(
            f"no run in {store.directory} measures its gradient noise: set the recipe's "
            "noise_scale=NoiseScale() and train"
        )
    found = []
    for run in runs:
        rows, fault = noise_rows(run, unfinished=True)
        if fault is not None:
            warnings.warn(
                f"the noise scale of run {run.run_id} is left out: {fault}",
                LeftOutWarning,
                stacklevel=2,
            )
            continue
        config = run.planned.config
        known = {
            "run_id": run.run_id,
            "params": flops.count_params(config.shape).total,
            "batch_tokens": config.tokens_per_step,
        }
        groups = [rows[i : i + together] for i in range(0, len(rows), together)]
        found += [known | _averaged(group, config, level) for group in groups]
    return pd.DataFrame(found, columns=COLUMNS)


def _averaged(rows: Sequence[Mapping[str, Any]], config: RunConfig, level: float) -> dict[str, Any]:
    from scaling_jax.runs.noise_scale import noise_in, together

    mean = together([noise_in(row, config) for row in rows])
    ratio, low, high = (config.shape.seq_len * value for value in mean.scale(level))
    return {
        "step": rows[-1]["step"],
        "tokens": sum(row["tokens"] for row in rows) / len(rows),
        "noise_scale": ratio,
        "noise_scale_low": low,
        "noise_scale_high": high,
        "grad_sq": mean.grad_sq,
        "noise": mean.noise,
        "measurements": len(rows),
    }
