"""Cells of comma-separated text, read strictly: no line is lost in a quoted cell."""

import csv
from typing import TYPE_CHECKING

from scaling_jax.errors import InputError
from scaling_jax.laws.tables.words import LINE

if TYPE_CHECKING:
    import pandas as pd

UNNAMED = "Unnamed"
# Spreadsheets write semicolons where the comma is the decimal mark, and tabs on export as text.
_SEPARATORS = (",", ";", "\t")


def csv_frame(text: str, name: str) -> "pd.DataFrame":
    """The cells of a table as text, indexed by the lines they stand on.

    The header's separator is a comma, else a semicolon, else a tab.

    Raises:
        InputError: nothing in it, a line with more cells than the header, or a quote that does
            not end where its cell does, named by line.
    """
    import pandas as pd

    lines = text.splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise InputError(f"{name} is empty: give a header and one line per run")
    separator = next((each for each in _SEPARATORS if each in first), ",")
    (_, header), *rows = _rows(lines, separator, name)
    names = [column.strip() or f"{UNNAMED}: {i}" for i, column in enumerate(header)]
    width = len(names)
    for line, cells in rows:
        if any(map(str.strip, cells[width:])):
            raise InputError(
                f"{name} is not a CSV table: line {line} has {len(cells)} cells, but the header "
                f"names {width} columns; name every column, and put numbers with commas in quotes"
            )
    padded = [(cells + [""] * width)[:width] for _, cells in rows]
    index = pd.Index([line for line, _ in rows], name=LINE)
    return pd.DataFrame(padded, columns=names, index=index)


def _rows(lines: list[str], separator: str, name: str) -> list[tuple[int, list[str]]]:
    """The line that each row ends on, and the row's cells; blank rows are skipped."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    rows: list[tuple[int, list[str]]] = []
    end = 0
    while True:
        begin = end + 1
        try:
            cells = next(reader)
        except StopIteration:
            return rows
        except csv.Error as error:
            raise InputError(
                f"{name}, line {begin}: a quoted cell begins here and does not end as it should "
                f'({error}); close the quote, or write a quote inside a cell as ""'
            ) from error
        end = reader.line_num
        if any(map(str.strip, cells)):
            rows.append((end, cells))
            _require_no_row_inside(lines[begin:end], begin, len(rows[0][1]), separator, name)


def _require_no_row_inside(
    inner: list[str], begin: int, width: int, separator: str, name: str
) -> None:
    """Refuse a cell of several lines that holds what looks like rows of the table.

    Two stray quotes make one cell of all the rows between them, which would be lost.
    """
    for number, line in enumerate(inner, begin + 1):
        if width > 1 and line.count(separator) == width - 1:
            raise InputError(
                f"{name}, line {begin}: a quoted cell begins here and holds line {number}, which "
                "looks like a row of the table; remove the stray quote, or write the cell on one "
                "line"
            )
