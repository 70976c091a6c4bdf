"""Losses of every step between the two studies: one row for each size and budget."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.study import Store

# Porian et al. 2024 smooth training losses over this share of the steps so far, on both sides.
_SMOOTHED_SHARE = 0.05
_MATCHED = "matched cosine"


@dataclass(frozen=True)
class Step:
    """One step from the practice of Kaplan et al. 2020 to that of Hoffmann et al. 2022.

    Attributes:
        name: the value of the column `variation` in the table of losses.
        recipe: the variation of the study whose runs it reads.
        count: the column of the parameters N in C = 6 N D.
        loss_of: which losses it reads off the runs' curves.
        published: the exponent that Porian et al. 2024 found on RefinedWeb, with its interval.
    """

    name: str
    recipe: str
    count: str
    loss_of: str
    published: tuple[float, float, float]


STEPS = (
    Step("Kaplan", "long warm-up", "params_non_embedding", "training", (0.835, 0.824, 0.846)),
    Step("head counted", "long warm-up", "params", "held_out", (0.7065, 0.691, 0.717)),
    Step("short warm-up", "short warm-up", "params", "held_out", (0.602, 0.591, 0.617)),
    Step("matched cosine", _MATCHED, "params", "held_out", (0.5715, 0.560, 0.589)),
    Step("tuned", "tuned", "params", "held_out", (0.4969, 0.491, 0.505)),
)


def losses_by_step(store: "Store") -> "pd.DataFrame":
    """Losses (nats/token) of every step, size and budget, for fits by `variation`.

    `params` is N as the step counts it, and `budget` = `flops` = 6 N D; `params_total` counts the
    head at every step. The budgets of the grid and
    one between any two neighbours are read off the other runs' curves. Without the head there
    are budgets of the same spacing down from the largest that a size reaches.

    Raises:
        InputError: no run of the grid has finished.
    """
    import pandas as pd

    from scaling_jax.study import collect, curves

    records = collect(store)
    records = records[records["status"] == "finished"]
    grid = records[records["variation"] == _MATCHED]
    if grid.empty:
        raise InputError("no run with a matched cosine has finished: train the study first")
    budgets = _finer(np.unique(grid["budget"]))
    known = {kind: curves(store, of=kind) for kind in ("training", "held_out")}
    tables = []
    for step in STEPS:
        runs = records[records["variation"] == step.recipe]
        if step.recipe == _MATCHED:
            rows = runs.assign(flops=runs["budget"], params_total=runs["params"])
        else:
            rows = _read_off(step, runs, known[step.loss_of], budgets)
        tables.append(rows.assign(variation=step.name))
    columns = ["variation", "run_id", "seed", "params", "params_total", "params_non_embedding"]
    columns += ["tokens", "flops", "budget", "loss"]
    return pd.concat(tables)[columns].reset_index(drop=True)


def _finer(budgets: np.ndarray) -> np.ndarray:
    """The budgets, and the geometric mean of any two neighbours."""
    between = np.sqrt(budgets[1:] * budgets[:-1])
    return np.sort(np.concatenate([budgets, between]))


def _read_off(
    step: Step, runs: "pd.DataFrame", curves: "pd.DataFrame", budgets: np.ndarray
) -> "pd.DataFrame":
    """The losses of `runs` at every budget that they reach."""
    import pandas as pd

    if step.count != "params":
        spacing = (budgets[-1] / budgets[0]) ** (1 / (len(budgets) - 1))
        most = float((6 * runs[step.count] * runs["tokens"]).max())
        # Below, no run takes the FLOPs of the smallest budget with the head counted.
        least = float(budgets[0] * (runs[step.count] / runs["params"]).min())
        n = 1 + int(np.log(most / least) / np.log(spacing))
        budgets = most / spacing ** np.arange(n)[::-1]
    grouped = dict(list(curves.groupby("run_id")))
    rows = []
    for run in runs.to_dict("records"):
        curve = grouped[run["run_id"]]
        tokens, loss = curve["tokens"].to_numpy(float), curve["loss"].to_numpy(float)
        if step.loss_of == "training":
            loss = _smoothed(loss)
        for budget in budgets:
            wanted = budget / (6 * run[step.count])
            # Whole steps can end slightly before the budget.
            if tokens[0] <= wanted <= 1.01 * tokens[-1]:
                value = np.exp(np.interp(np.log(wanted), np.log(tokens), np.log(loss)))
                own = {"tokens": wanted, "flops": budget, "budget": budget, "loss": value}
                counted = {"params": run[step.count], "params_total": run["params"]}
                rows.append(run | counted | own)
    return pd.DataFrame(rows, columns=[*runs.columns, "params_total"])


def _smoothed(loss_S: np.ndarray) -> np.ndarray:
    """Means of the losses over a window around every step that grows with the step."""
    step_S = np.arange(1, len(loss_S) + 1)
    reach_S = np.minimum((_SMOOTHED_SHARE * step_S).astype(int), len(loss_S) - step_S)
    total = np.concatenate([[0.0], np.cumsum(loss_S)])
    means: np.ndarray = (total[step_S + reach_S] - total[step_S - 1 - reach_S]) / (2 * reach_S + 1)
    return means
