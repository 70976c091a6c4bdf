"""Tables of losses: reading, checking, and which rows a fit may use."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.tables import cells
from scaling_jax.laws.tables.budgets import infer_budgets

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


@dataclass(frozen=True)
class Rows:
    """The rows a fit uses, as float64 columns, and what was left out.

    Attributes:
        params: N in the wanted count.
        tokens, loss, flops: as in the table; flops are 6 N D where it has none.
        budget: planned FLOPs of each row's IsoFLOP group; None where there are no groups.
        run_id: which run a row belongs to, empty where a row does not say; None where the table
            does not.
        weight: how often each row counts; ones where the table does not say.
        label: where each row stands in the table, such as `line 4`.
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
    label: np.ndarray
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
        InputError: no such file, another kind of file, a missing or doubled column, two finished
            rows that agree in every column, or a cell that is not a positive finite number (a
            weight may be zero), named by line and column.
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
        return _without_repeats(checked(frame, str(path)), path)
    if path.suffix != ".csv":
        raise InputError(f"{path} ends in {path.suffix!r}: give a .csv or .parquet table")
    return _without_repeats(checked(cells.read_csv(path), str(path)), path)


def checked(frame: "pd.DataFrame", name: str = "the table") -> "pd.DataFrame":
    """The table with its known columns as numbers.

    Raises:
        InputError: as `read_table`, but for rows that repeat another.
    """
    if frame.empty:
        raise InputError(f"{name} has no rows: give at least one per run")
    cells.require_distinct_columns(frame, name)
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


def repeated(frame: "pd.DataFrame") -> str:
    """Which finished rows of a checked table repeat an earlier one in every column, in words."""
    return cells.repeated_rows(frame[_is_over(frame)])


def _without_repeats(frame: "pd.DataFrame", path: Path) -> "pd.DataFrame":
    """Refuse a file in which a line was pasted twice; frames may repeat rows on purpose."""
    said = repeated(frame)
    if said:
        raise InputError(
            f"{path}, {said}: remove one, or, if they are two runs, tell them apart in a column "
            "such as 'seed'"
        )
    return frame


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
    reasons, kept = _reasons(frame), fitted_rows(frame)
    if kept.empty:
        raise InputError(
            f"none of the table's {len(frame)} rows can be fitted: {_tally(reasons)}; finish some "
            "runs first"
        )
    if kept[column].isna().any():
        row = int(kept[column].isna().to_numpy().argmax())
        raise InputError(
            f"{cells.where(kept, row)}, column {column!r} is blank, but count {count!r} needs it: "
            "fill it in, or remove the row"
        )
    params, tokens, loss = (kept[c].to_numpy(np.float64) for c in (column, "tokens", "loss"))
    flops = _filled(kept, "flops", 6 * params * tokens)
    return Rows(
        params=params,
        tokens=tokens,
        loss=loss,
        flops=flops,
        # A row without a budget among others that have one belongs to none but its own.
        budget=_filled(kept, "budget", flops) if _has(kept, "budget") else infer_budgets(flops),
        run_id=_names(kept, "run_id"),
        weight=_filled(kept, "weight", np.ones(len(kept))),
        label=np.array([cells.where(kept, row) for row in range(len(kept))]),
        dropped=_tally(reasons),
        fingerprint=hashlib.sha256(np.stack([params, tokens, loss, flops]).tobytes()).hexdigest(),
    )


def fitted_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The rows that a fit uses: of finished runs, none of verification, none of weight 0."""
    return frame[_reasons(frame) == ""]


def clusters(rows: Rows) -> np.ndarray:
    """The run of every row, for resampling whole runs.

    Raises:
        InputError: no column `run_id`, a row that names no run, or rows of one run only.
    """
    if rows.run_id is None:
        raise InputError("resampling runs needs a column 'run_id': add it, or resample rows")
    if (rows.run_id == "").any():
        row = int((rows.run_id == "").argmax())
        raise InputError(
            f"{rows.label[row]}, column 'run_id' is blank, so that it belongs to no run: fill it "
            "in, or resample rows"
        )
    if len(np.unique(rows.run_id)) < 2:
        raise InputError(
            f"column 'run_id': every row is of the run {rows.run_id[0]!r}, so that resamples of "
            "whole runs would all be alike: resample rows"
        )
    return rows.run_id


def _is_over(frame: "pd.DataFrame") -> np.ndarray:
    """Rows that must have a loss: all, unless a status says that a run did not finish."""
    if "status" not in frame:
        return np.ones(len(frame), bool)
    return frame["status"].to_numpy(str) == "finished"


def _numbers(frame: "pd.DataFrame", column: str, over: np.ndarray, name: str) -> np.ndarray:
    # Only the loss of a run that is not over may be blank; an optional column may be anywhere.
    may_be_blank_N = ~over if column == "loss" else np.full(len(frame), column not in _REQUIRED)
    return cells.numbers(
        frame,
        column,
        may_be_blank_N=may_be_blank_N,
        may_be_zero=column == "weight",
        name=name,
    )


def _reasons(frame: "pd.DataFrame") -> np.ndarray:
    """Why each row is left out; empty for those that are kept."""
    reasons = np.full(len(frame), "", dtype=object)
    if "role" in frame:
        reasons[frame["role"].to_numpy(str) == "verification"] = "verification"
    if "status" in frame:
        status = frame["status"].to_numpy(str)
        open_ = status != "finished"
        reasons[open_] = status[open_]
    if "weight" in frame:
        reasons[(frame["weight"] == 0).to_numpy() & (reasons == "")] = "of weight 0"
    return reasons


def _has(frame: "pd.DataFrame", column: str) -> bool:
    return column in frame and bool(frame[column].notna().any())


def _filled(frame: "pd.DataFrame", column: str, default_N: np.ndarray) -> np.ndarray:
    """The column, and the default where there is none or a cell is blank."""
    if column not in frame:
        return default_N
    values_N = frame[column].to_numpy(np.float64)
    return np.where(np.isnan(values_N), default_N, values_N)


def _names(frame: "pd.DataFrame", column: str) -> np.ndarray | None:
    if column not in frame:
        return None
    return np.where(cells.is_blank(frame[column]), "", frame[column].to_numpy(str))


def _tally(reasons: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(reasons[reasons != ""].astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
