"""The cells of a table of losses: read from text, checked, and wrong ones named."""

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

LINE = "line"
_UNNAMED = "Unnamed"


def read_csv(path: Path) -> "pd.DataFrame":
    """The cells of a CSV file as text, indexed by the lines they stand on.

    Raises:
        InputError: not UTF-8, not CSV, nothing in it, or a line with more cells than the header.
    """
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8 CSV ({error})") from error
    except (csv.Error, OSError) as error:
        raise InputError(f"{path} is not a CSV table: {error}") from error
    if not lines:
        raise InputError(f"{path} is empty: give a header and one line per run")
    (_, header), *rows = lines
    names = [name.strip() or f"{_UNNAMED}: {i}" for i, name in enumerate(header)]
    width = len(names)
    for line, cells in rows:
        if any(map(str.strip, cells[width:])):
            raise InputError(
                f"{path} is not a CSV table: line {line} has {len(cells)} cells, but the header "
                f"names {width} columns; name every column, and put numbers with commas in quotes"
            )
    padded = [(cells + [""] * width)[:width] for _, cells in rows]
    index = pd.Index([line for line, _ in rows], name=LINE)
    return pd.DataFrame(padded, columns=names, index=index)


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


def require_distinct_columns(frame: "pd.DataFrame", name: str) -> None:
    """Refuse a table in which two columns have one name.

    Raises:
        InputError: names the column.
    """
    twice = [column for column, n in Counter(frame.columns).items() if n > 1]
    if twice:
        raise InputError(
            f"{name} has the column {twice[0]!r} more than once: rename or remove all but one"
        )


def repeated_rows(frame: "pd.DataFrame") -> str:
    """Which rows equal another in every column, as pasting a line twice makes them; or nothing.

    Several runs of one size and length are none: they differ in their loss, or in a column that
    tells them apart.
    """
    # Row numbers that were written out with the table are no property of a run.
    named = frame[[c for c in frame.columns if not str(c).startswith(_UNNAMED)]]
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
