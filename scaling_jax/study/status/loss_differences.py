"""Differences in loss between two studies, at every size and length that both trained."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling_jax.laws.conventions import SAME_LENGTH

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from scaling_jax.runs.details import HeldOutDetails


@dataclass(frozen=True)
class CellDifference:
    """The loss of study B minus that of study A at one size and length.

    Attributes:
        params, tokens: the size, and the length of A's runs.
        loss_a, loss_b: means over the runs of the cell.
        n_a, n_b: number of runs, of several seeds.
        difference: `loss_b - loss_a`.
        stderr: standard error of the difference, None where the table does not show it.
        paired: whether the losses were compared window by window; otherwise `stderr` is that of
            different texts, which is too large for losses on one text.
    """

    params: float
    tokens: float
    loss_a: float
    loss_b: float
    n_a: int
    n_b: int
    difference: float
    stderr: float | None
    paired: bool


def loss_differences(
    a: "pd.DataFrame",
    b: "pd.DataFrame",
    details_a: "Mapping[str, HeldOutDetails]",
    details_b: "Mapping[str, HeldOutDetails]",
) -> tuple[CellDifference, ...]:
    """The loss of study B minus that of A, for every size and length that both trained.

    Args:
        a, b: the records of the studies.
        details_a, details_b: run id -> losses by window, of the runs that keep them.
    """
    from scaling_jax.laws.tables.select import fitted_rows

    ours, theirs = (_by_cell(fitted_rows(each)) for each in (a, b))
    found = []
    for (params, tokens), rows in ours.items():
        lengths = [length for size, length in theirs if size == params]
        nearest = min(lengths, key=lambda length: abs(math.log(length / tokens)), default=None)
        if nearest is None or abs(math.log(nearest / tokens)) > math.log(SAME_LENGTH):
            continue
        found.append(_cell(params, tokens, rows, theirs[params, nearest], details_a, details_b))
    return tuple(found)


def _by_cell(rows: "pd.DataFrame") -> "dict[tuple[float, float], pd.DataFrame]":
    cells: Any = rows.groupby(["params", "tokens"])
    return {(float(size), float(length)): group for (size, length), group in cells}


def _cell(
    params: float,
    tokens: float,
    a: "pd.DataFrame",
    b: "pd.DataFrame",
    details_a: "Mapping[str, HeldOutDetails]",
    details_b: "Mapping[str, HeldOutDetails]",
) -> CellDifference:
    loss_a, loss_b = float(a["loss"].mean()), float(b["loss"].mean())
    windows = _windows(a, details_a), _windows(b, details_b)
    paired = all(each is not None for each in windows) and windows[0][0] == windows[1][0]  # type: ignore[index]
    if paired:
        from scaling_jax.trained.paired import paired_difference

        text: float | None = paired_difference(windows[1][1], windows[0][1]).stderr  # type: ignore[index]
    else:
        text = _hypot(_unpaired(a), _unpaired(b))
    # Runs of several seeds also show the scatter of training.
    seeds = _hypot(*(_of_mean(each["loss"]) for each in (a, b)))
    known = [each for each in (text, seeds) if each is not None]
    return CellDifference(
        params=float(params),
        tokens=float(tokens),
        loss_a=loss_a,
        loss_b=loss_b,
        n_a=len(a),
        n_b=len(b),
        difference=loss_b - loss_a,
        stderr=math.hypot(*known) if known else None,
        paired=paired,
    )


def _windows(
    rows: "pd.DataFrame", details: "Mapping[str, HeldOutDetails]"
) -> "tuple[str, np.ndarray] | None":
    """Hash of the windows, and their losses averaged over the runs; None if a run lacks them."""
    import numpy as np

    kept = [details.get(str(run_id)) for run_id in rows.get("run_id", [])]
    known = [each for each in kept if each is not None]
    if not kept or len(known) < len(kept) or len({each.windows for each in known}) > 1:
        return None
    losses = [np.asarray(each.window_N, np.float64) for each in known]
    return (known[0].windows, np.mean(losses, axis=0)) if len(losses[0]) > 1 else None


def _unpaired(rows: "pd.DataFrame") -> float | None:
    """Standard error from the choice of the text, which runs of several seeds share."""
    if "loss_stderr" not in rows or rows["loss_stderr"].isna().any():
        return None
    return float(rows["loss_stderr"].mean())


def _of_mean(losses: "pd.Series") -> float | None:
    return float(losses.std(ddof=1)) / math.sqrt(len(losses)) if len(losses) > 1 else None


def _hypot(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else math.hypot(a, b)


def mean_difference(cells: Sequence[CellDifference]) -> tuple[float | None, float | None]:
    """Mean of the differences, and its standard error from their scatter; None where unknown."""
    import pandas as pd

    differences = pd.Series([cell.difference for cell in cells], dtype=float)
    return (float(differences.mean()) if len(cells) else None), _of_mean(differences)
