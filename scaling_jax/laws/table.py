"""Tables of losses: reading, checking, and which rows a fit may use."""

import hashlib
import os
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from scaling_jax.errors import InputError, suggestion

if TYPE_CHECKING:
    import pandas as pd

Count = Literal["total", "non_embedding", "active"]
COUNTS: tuple[Count, ...] = get_args(Count)

PARAMS_COLUMN: dict[Count, str] = {
    "total": "params",
    "non_embedding": "params_non_embedding",
    "active": "params_active",
}

_REQUIRED = ("params", "tokens", "loss")
_NUMERIC = (*_REQUIRED, *PARAMS_COLUMN.values(), "flops", "budget", "weight")

# Rows of one budget lie this close together in FLOPs, and budgets farther apart than that.
_BUDGET_GAP = 1.15
_BUDGET_SPREAD = 1.35


@dataclass(frozen=True)
class Rows:
    """The rows a fit uses, as float64 columns, and what was left out.

    Attributes:
        params: N in the wanted count.
        tokens, loss, flops: as in the table; flops are 6 N D where it has none.
        budget: planned FLOPs of each row's IsoFLOP group; None where there are no groups.
        run_id: which run a row belongs to; None where the table does not say.
        weight: how often each row counts; ones where the table does not say.
        dropped: reason -> number of rows.
        fingerprint: hash of the numbers.
    """

    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    flops: np.ndarray
    budget: np.ndarray | None
    run_id: np.ndarray | None
    weight: np.ndarray
    dropped: dict[str, int]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def variables(self) -> dict[str, np.ndarray]:
        """What laws are functions of."""
        return {"params": self.params, "tokens": self.tokens}


def read_table(path: os.PathLike | str) -> "pd.DataFrame":
    """The table in a `.csv` or `.parquet` file, its numbers checked.

    Needs the columns `params`, `tokens`, `loss`; every other column rides along.

    Raises:
        InputError: no such file, another kind of file, a missing column, or a cell that is not
            a positive finite number, named by line and column.
    """
    import pandas as pd

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file: give a .csv or .parquet table of losses")
    if path.suffix == ".parquet":
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a Parquet table: {error}") from error
        return checked(frame, str(path))
    if path.suffix != ".csv":
        raise InputError(f"{path} ends in {path.suffix!r}: give a .csv or .parquet table")
    return checked(_read_csv(path), str(path))


def checked(frame: "pd.DataFrame", name: str = "the table") -> "pd.DataFrame":
    """The table with its known columns as numbers.

    Raises:
        InputError: as `read_table`.
    """
    if frame.empty:
        raise InputError(f"{name} has no rows: give at least one per run")
    missing = [column for column in _REQUIRED if column not in frame]
    if missing:
        raise InputError(
            f"{name} lacks the column {missing[0]!r}: it has {', '.join(map(str, frame.columns))}; "
            f"a table of losses needs {', '.join(_REQUIRED)}"
        )
    over = _is_over(frame)
    numbers = {
        column: _numbers(frame, column, over, name) for column in _NUMERIC if column in frame
    }
    return frame.assign(**numbers)


def usable_rows(frame: "pd.DataFrame", count: Count = "total") -> Rows:
    """The finished runs of a checked table, verification runs left out.

    Raises:
        InputError: an unknown count, or the table does not hold it; no row is left.
    """
    if count not in COUNTS:
        raise InputError(f"unknown parameter count {count!r}{suggestion(count, COUNTS)}")
    column = PARAMS_COLUMN[count]
    if column not in frame:
        raise InputError(
            f"the table has no column {column!r}, which count {count!r} needs: "
            "add it, or use count 'total'"
        )
    reasons = _reasons(frame)
    kept = frame[reasons == ""]
    if kept.empty:
        raise InputError(
            f"none of the table's {len(frame)} rows can be fitted: {_tally(reasons)}; finish some "
            "runs first"
        )
    params, tokens, loss = (kept[c].to_numpy(np.float64) for c in (column, "tokens", "loss"))
    flops = kept["flops"].to_numpy(np.float64) if "flops" in kept else 6 * params * tokens
    budget = kept["budget"].to_numpy(np.float64) if "budget" in kept else infer_budgets(flops)
    return Rows(
        params=params,
        tokens=tokens,
        loss=loss,
        flops=flops,
        budget=budget,
        run_id=kept["run_id"].to_numpy(str) if "run_id" in kept else None,
        weight=kept["weight"].fillna(1.0).to_numpy(np.float64)
        if "weight" in kept
        else np.ones(len(kept)),
        dropped=_tally(reasons),
        fingerprint=hashlib.sha256(np.stack([params, tokens, loss, flops]).tobytes()).hexdigest(),
    )


def infer_budgets(flops: np.ndarray) -> np.ndarray | None:
    """Group rows of nearly equal FLOPs and name each group by its geometric mean.

    None where they do not fall into groups: a gap of at least 15 % between groups, and no group
    wider than 35 %.
    """
    order = np.argsort(flops)
    logs = np.log(flops[order])
    group = np.concatenate([[0], np.cumsum(np.diff(logs) > np.log(_BUDGET_GAP))])
    budgets = np.empty_like(flops)
    for g in range(group[-1] + 1):
        members = logs[group == g]
        if members[-1] - members[0] > np.log(_BUDGET_SPREAD):
            return None
        budgets[order[group == g]] = np.exp(members.mean())
    return budgets


def _read_csv(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        # Cells are read as text first, so that a wrong one can be named by line and column.
        return pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8 CSV ({error})") from error
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty: give a header and one line per run") from error
    except pd.errors.ParserError as error:
        raise InputError(f"{path} is not a CSV table: {error}") from error


def _is_over(frame: "pd.DataFrame") -> np.ndarray:
    """Rows that must have a loss: all, unless a status says that a run did not finish."""
    if "status" not in frame:
        return np.ones(len(frame), bool)
    return frame["status"].to_numpy(str) == "finished"


def _numbers(frame: "pd.DataFrame", column: str, over: np.ndarray, name: str) -> np.ndarray:
    import pandas as pd

    cells = frame[column]
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    blank = cells.isna().to_numpy() | (cells.astype(str).str.strip() == "").to_numpy()
    # Only the loss of a run that is not over may be blank; an optional column may be anywhere.
    may_be_blank = ~over if column == "loss" else np.full(len(frame), column not in _REQUIRED)
    good = np.isfinite(numbers) & (numbers > 0)
    wrong = ~good & ~(blank & may_be_blank)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{name}, {_where(frame, row, name)}, column {column!r}: {cells.iloc[row]!r} is not a "
            "positive finite number; correct the cell or remove the row"
        )
    return numbers


def _where(frame: "pd.DataFrame", row: int, name: str) -> str:
    if name.endswith(".csv"):
        return f"line {row + 2}"
    label: Hashable = frame.index[row]
    return f"row {label}"


def _reasons(frame: "pd.DataFrame") -> np.ndarray:
    """Why each row is left out; empty for those that are kept."""
    reasons = np.full(len(frame), "", dtype=object)
    if "role" in frame:
        reasons[frame["role"].to_numpy(str) == "verification"] = "verification"
    if "status" in frame:
        status = frame["status"].to_numpy(str)
        open_ = status != "finished"
        reasons[open_] = status[open_]
    return reasons


def _tally(reasons: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(reasons[reasons != ""].astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
