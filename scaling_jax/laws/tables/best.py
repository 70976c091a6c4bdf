"""Sweeps of hyperparameters in a table: its cells, what was swept, and the best of each cell."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.tables.check import DERIVED, numbers, reasons
from scaling_jax.laws.tables.compute import infer_budgets
from scaling_jax.laws.tables.layouts import is_own_records
from scaling_jax.laws.tables.select import fitted_rows
from scaling_jax.laws.tables.words import where

if TYPE_CHECKING:
    import pandas as pd

# Why a fit to the best of each cell leaves a row out.
NOT_THE_BEST = "not the best of their cell"

# What a sweep finds the best value of; a law of these is of the best runs alone.
_SETTINGS = re.compile(
    r"^(peak_|max_|base_|learning_|embedding_|matrix_)*(lr|learning_rate|rate)$|batch|warmup"
    r"|weight_decay|^wd$|^beta_?[12]$|^(adam_)?eps(ilon)?$|clip|momentum|dropout|cooldown"
    r"|final_lr_fraction|lr_scale|init_std"
)
# A size or a horizon is the best at its budget.
_ALLOCATIONS = ("params", "tokens")
# What is measured, and what names, counts or repeats runs, is no setting of theirs.
_NO_SETTING = re.compile(
    r"loss|error|acc|time|second|date$|bpb|bits|ppl|perplexity|score|name|id$|seed|note|comment"
    r"|step|flops|token|param|budget|weight$|status|state|role|failure|unnamed"
)


def cells(frame: "pd.DataFrame", law: Law = CHINCHILLA, by: Sequence[str] = ()) -> np.ndarray:
    """A number for each row, the same for rows that differ only in settings.

    Rows of a cell are alike in all that the law reads, and where the law is of a setting, in
    params and tokens too; for a law of the best size or horizon they share a budget.
    """
    if law.response in _ALLOCATIONS:
        return _budget_groups(frame)
    left_out = {"loss", law.response, *by}
    names = [name for name in law.variables if name not in left_out]
    names = [each for name in names for each in ((name,) if name in frame else DERIVED[name])]
    if law.response != "loss":
        names += [name for name in _ALLOCATIONS if name in frame]
    if not names:
        return np.arange(len(frame))
    groups = frame[[*dict.fromkeys(names)]].groupby(
        [*dict.fromkeys(names)], dropna=False, sort=False
    )
    return groups.ngroup().to_numpy()


def swept_columns(frame: "pd.DataFrame", cell_N: np.ndarray) -> tuple[str, ...]:
    """The settings in which rows of one cell differ: those of usual names, else any others."""
    differing = tuple(name for name in frame.columns if _differs(frame[name], cell_N))
    usual = tuple(name for name in differing if _SETTINGS.search(str(name).casefold()))
    if usual or is_own_records(frame):
        return usual
    return tuple(
        name
        for name in differing
        # A column with its own value in nearly every row is measured, or names the row.
        if not _NO_SETTING.search(str(name).casefold())
        and 2 * frame[name].astype(str).nunique() <= len(frame)
    )


def _differs(column: "pd.Series", cell_N: np.ndarray) -> bool:
    values = column.astype(str).where(column.notna())
    return bool((values.groupby(cell_N).nunique() > 1).any())


def best_rows(
    frame: "pd.DataFrame", by: str | Sequence[str], law: Law = CHINCHILLA
) -> "pd.DataFrame":
    """The rows of lowest loss among those that differ in the settings `by` alone.

    Rows that a fit leaves out stay as they are. The best seed is kept. How many rows were dropped
    is in the frame's `attrs`, from which a fit takes it over.

    Raises:
        InputError: no setting, one that is no column or that the law reads, or no column `loss`.
    """
    names = [*dict.fromkeys(by.split(",") if isinstance(by, str) else by)]
    names = [str(name).strip() for name in names]
    if not any(names):
        raise InputError("best_of needs the columns that were swept, such as 'lr,batch_size'")
    for name in [*names, "loss"]:
        if name not in frame:
            raise InputError(
                f"the table has no column {name!r}{suggestion(name, [*map(str, frame.columns)])}: "
                "the best of each cell is the row of lowest loss among those that differ in the "
                "swept columns"
            )
    read = [name for name in names if name in law.variables or name == "loss"]
    if read:
        raise InputError(
            f"the law {law.name!r} reads the column {read[0]!r}, so rows that differ in it are no "
            "sweep: name the columns that were tuned, such as 'lr,batch_size'"
        )
    used = fitted_rows(frame, law.response)
    cell_N = cells(used, law, names)
    others = [name for name in swept_columns(used, cell_N) if name not in names]
    keys = [cell_N, *(used[name].astype(str).to_numpy() for name in others)]
    best = _losses(used).groupby(keys, sort=False).idxmin()
    kept_N = reasons(frame, law.response) != ""
    kept_N[np.flatnonzero(~kept_N)[best.to_numpy()]] = True
    before = frame.attrs.get("dropped", {}).get(NOT_THE_BEST, 0)
    kept: pd.DataFrame = frame.loc[kept_N]
    kept.attrs = {**frame.attrs, "dropped": {NOT_THE_BEST: before + int((~kept_N).sum())}}
    return kept


def require_best_of_cells(frame: "pd.DataFrame", law: Law) -> None:
    """Refuse a law of the best setting on a table that still holds the settings that were tried.

    Raises:
        InputError: rows of one cell have several values of the response, and several losses.
    """
    if "loss" not in frame or not _is_setting(law.response):
        return
    used = fitted_rows(frame, law.response)
    cell_N = cells(used, law)
    response = law.response if law.response in used else None
    tried_N = cells_with_several(used, cell_N, [response] if response else DERIVED[law.response])
    if not tried_N.any():
        return
    row = int(tried_N.argmax())
    sources = law.response if response else ",".join(DERIVED[law.response][:1])
    remedy = (
        "fit with approach 2, which finds the best of each budget, or keep"
        if law.response in _ALLOCATIONS
        else "keep"
    )
    raise InputError(
        f"the law {law.name!r} is of the best {law.response}, but {int(tried_N.sum())} of "
        f"{len(used)} rows, such as {where(used, row)}, share their cell with rows of another "
        f"{law.response} and another loss: {remedy} the best of each cell (--best-of {sources}, or "
        f"best_of(table, by={sources!r}, law={law.name!r}))"
    )


def cells_with_several(
    used: "pd.DataFrame", cell_N: np.ndarray, columns: Sequence[str]
) -> np.ndarray:
    """Which rows are of a cell whose rows differ in their loss and in one of the columns."""
    loss = _losses(used)
    several_N = loss.groupby(cell_N).transform("nunique").to_numpy() > 1
    differ_N = np.zeros(len(used), bool)
    for name in columns:
        values = used[name].astype(str).where(used[name].notna())
        differ_N |= values.groupby(cell_N).transform("nunique").to_numpy() > 1
    return several_N & differ_N


def _is_setting(response: str) -> bool:
    return response in _ALLOCATIONS or bool(_SETTINGS.search(response.casefold()))


def _losses(used: "pd.DataFrame") -> "pd.Series":
    """The losses by position."""
    import pandas as pd

    return pd.Series(numbers(used, "loss", may_be_blank_N=np.zeros(len(used), bool)))


def _budget_groups(frame: "pd.DataFrame") -> np.ndarray:
    """A number for each row, the same for rows of one budget."""
    import pandas as pd

    name = next((each for each in ("budget", "flops") if each in frame), None)
    if name is None:
        return np.arange(len(frame))
    flops_N = numbers(frame, name, may_be_blank_N=np.zeros(len(frame), bool))
    grouped = infer_budgets(flops_N) if name == "flops" else flops_N
    return pd.factorize(flops_N if grouped is None else grouped)[0]
