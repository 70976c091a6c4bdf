"""The losses of branches with other batch sizes, as a table."""

import os
from typing import TYPE_CHECKING

from scaling_jax.accounting import flops
from scaling_jax.errors import InputError
from scaling_jax.study.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


def branch_losses(store: Store | os.PathLike | str) -> "pd.DataFrame":
    """The branches of a store that have ended, as `laws.largest_batch` reads them.

    One row per branch: its `trunk`, the trunk's `step` at which it starts and the `tokens` that the
    trunk has read there, `params`, the tokens of its batch (`batch_tokens`) and of its `window`,
    its `peak_lr`, and its held-out `loss` with its standard error `loss_stderr`. A branch that
    diverged has no loss. All branches are evaluated on the same text, so the error of a difference
    between two is smaller than their standard errors.

    Args:
        store: a store, a study's directory, or a root that holds one study.

    Raises:
        InputError: the store has no branches that start from a checkpoint.
    """
    import pandas as pd

    store = store if isinstance(store, Store) else Store.open(store)
    rows, n_there = [], 0
    for run in store.runs():
        config = run.planned.config
        if config.start is None:
            continue
        n_there += 1
        result = run.check_result().result
        if result is None:
            continue
        rows.append(
            {
                "run_id": run.run_id,
                "trunk": config.start.run,
                "step": config.start.step,
                "tokens": config.start.sequences * config.shape.seq_len,
                "params": flops.count_params(config.shape).total,
                "batch_tokens": config.tokens_per_step,
                "window": config.tokens,
                "peak_lr": config.optimizer.peak_lr,
                "loss": result.loss,
                "loss_stderr": result.loss_stderr,
            }
        )
    if not rows:
        remedy = "wait for them" if n_there else "train a study with the design BatchBranches"
        raise InputError(
            f"{store.directory} has {n_there} branches with another batch size, none of which has "
            f"finished: {remedy}"
        )
    table = pd.DataFrame(rows).astype({"loss": float, "loss_stderr": float})
    return table.sort_values(["params", "trunk", "step", "batch_tokens"], ignore_index=True)
