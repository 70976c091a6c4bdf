"""Checks of a table's columns and cells; a wrong cell is named by its line and column."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError, nearest
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.conventions import PARAMS_COLUMN

if TYPE_CHECKING:
    import pandas as pd

LINE = "line"
UNNAMED = "Unnamed"

# Columns that follow from two others, where a table does not have them.
DERIVED: dict[str, tuple[str, str]] = {
    "flops": ("params", "tokens"),
    "tokens_per_param": ("params", "tokens"),
    "batch_tokens": ("batch_size", "seq_len"),
}

# Columns that are numbers wherever they stand, whatever the law reads.
_OPTIONAL = (*PARAMS_COLUMN.values(), "flops", "budget", "weight")
_SIZE_AND_DATA = {"params", "tokens"}


def checked(
    frame: "pd.DataFrame", law: Law = CHINCHILLA, name: str = "the table"
) -> "pd.DataFrame":
    """The table with the columns of the law, and other known ones, as numbers.

    Raises:
        InputError: no rows, a column missing or twice, or a wrong cell.
    """
    if frame.empty:
        raise InputError(f"{name} has no rows: give at least one per run")
    _require_distinct_columns(frame, name)
    required = [*dict.fromkeys(_required(frame, (*law.variables, law.response), law, name))]
    companions = [c for c in _SIZE_AND_DATA if reads_size_and_data(law) and c in frame]
    known = [*_OPTIONAL, *companions]
    finished_N = is_finished(frame)
    numbers_of = {}
    for column in dict.fromkeys([*required, *(c for c in known if c in frame)]):
        numbers_of[column] = numbers(
            frame,
            column,
            # The loss of a run that did not finish may be blank, an optional column anywhere.
            may_be_blank_N=~finished_N if column in required else np.ones(len(frame), bool),
            may_be_zero=column == "weight",
            may_be_signed=column in law.signed,
            name=name,
        )
    return frame.assign(**numbers_of)


def reads_size_and_data(law: Law) -> bool:
    """Whether the law is one of the loss in model size and training tokens alone."""
    return law.response == "loss" and _SIZE_AND_DATA.issuperset(law.variables)


def is_finished(frame: "pd.DataFrame") -> np.ndarray:
    """Rows that must have a response: all, unless a status says that a run did not finish."""
    if "status" not in frame:
        return np.ones(len(frame), bool)
    return frame["status"].to_numpy(str) == "finished"


def repeated(frame: "pd.DataFrame") -> str:
    """Which finished rows of a checked table repeat an earlier one in every column, in words."""
    return _repeated_rows(frame[is_finished(frame)])


def _required(frame: "pd.DataFrame", columns: Iterable[str], law: Law, name: str) -> Iterable[str]:
    """The columns that must be there: the law's own, or those that a missing one follows from."""
    for column in columns:
        sources = DERIVED.get(column, ())
        if column in frame:
            yield column
        elif sources and set(sources).issubset(frame.columns):
            yield from sources
        else:
            raise InputError(
                f"{name} lacks the column {column!r}{nearest(column, map(str, frame.columns))}: it "
                f"has {', '.join(map(str, frame.columns))}; the law "
                f"{law.name!r} needs the column {column!r}"
            )


def where(frame: "pd.DataFrame", row: int) -> str:
    """What the row is called: the line of a file, or the label it has in a frame."""
    kind = LINE if frame.index.name == LINE else "row"
    return f"{kind} {frame.index[row]}"


def is_blank(cells: "pd.Series") -> np.ndarray:
    """Which cells are missing or hold nothing."""
    return cells.isna().to_numpy() | (cells.astype(str).str.strip() == "").to_numpy()


def numbers(
    frame: "pd.DataFrame",
    column: str,
    *,
    may_be_blank_N: np.ndarray,
    may_be_zero: bool = False,
    may_be_signed: bool = False,
    name: str = "",
) -> np.ndarray:
    """A column as float64, NaN where a cell may be blank and is.

    Raises:
        InputError: a cell that is not a finite number, or not positive (or at least zero) where
            it must be, named by row and column.
    """
    import pandas as pd

    cells = frame[column]
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    good = np.isfinite(values)
    if not may_be_signed:
        good &= (values >= 0) if may_be_zero else (values > 0)
    wrong = ~good & ~(is_blank(cells) & may_be_blank_N)
    if not wrong.any():
        return values
    row = int(wrong.argmax())
    rule = "finite number" if may_be_signed else "positive finite number"
    if may_be_zero:
        rule = "finite number of at least 0 (a row of weight 0 does not count)"
    place = f"{name}, {where(frame, row)}" if name else where(frame, row)
    raise InputError(
        f"{place}, column {column!r}: {cells.iloc[row]!r} is not a {rule}; correct the cell or "
        "remove the row"
    )


def _require_distinct_columns(frame: "pd.DataFrame", name: str) -> None:
    """Refuse a table in which two columns have one name.

    Raises:
        InputError: names the column.
    """
    twice = [column for column, n in Counter(frame.columns).items() if n > 1]
    if twice:
        raise InputError(
            f"{name} has the column {twice[0]!r} more than once: rename or remove all but one"
        )


def _repeated_rows(frame: "pd.DataFrame") -> str:
    """Which rows equal another in every column, as pasting a line twice makes them; or nothing.

    Several runs of one size and length are none: they differ in their loss, or in a column that
    tells them apart.
    """
    # Row numbers that were written out with the table are no property of a run.
    named = frame[[c for c in frame.columns if not str(c).startswith(UNNAMED)]]
    group_N = named.astype({c: str for c in named if named[c].dtype == object}).pipe(_groups)
    again = _repeats(group_N)
    if not again.any():
        return ""
    second = int(again.argmax())
    first = int((group_N == group_N[second]).argmax())
    others = int(again.sum()) - 1
    more = f" (and {others} more repeat others)" if others else ""
    return f"{where(frame, first)} and {where(frame, second)} are the same in every column{more}"


def _groups(frame: "pd.DataFrame") -> np.ndarray:
    """A number for each row, the same for rows that are alike."""
    return frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup().to_numpy()


def _repeats(group_N: np.ndarray) -> np.ndarray:
    """Which rows are of a group that an earlier one is of."""
    again = np.ones(len(group_N), bool)
    again[np.unique(group_N, return_index=True)[1]] = False
    return again
