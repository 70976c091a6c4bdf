"""Tables of runs: from files, mappings and frames to one checked frame."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.tables.check import LINE, UNNAMED, checked, repeated

if TYPE_CHECKING:
    import pandas as pd

Table = Union["pd.DataFrame", Mapping[str, ArrayLike], os.PathLike, str]


def read_table(path: os.PathLike | str, law: Law = CHINCHILLA) -> "pd.DataFrame":
    """The table in a `.csv` or `.parquet` file, its numbers checked.

    Needs the columns that the law reads and predicts, by default `params`, `tokens` and `loss`;
    every other column is kept as it is.

    Raises:
        InputError: no such file, another kind of file, a missing or doubled column, two finished
            rows that agree in every column, or a cell that is not a positive finite number (a
            weight may be zero), named by line and column.
    """
    path = Path(path)
    frame = checked(_frame(path), law, str(path))
    # A line of a file that repeats another was pasted twice; a frame may repeat rows on purpose.
    repeats = repeated(frame)
    if repeats:
        raise InputError(
            f"{path}, {repeats}: remove one, or, if they are two runs, tell them apart in a "
            "column such as 'seed'"
        )
    return frame


def load_table(table: Table, law: Law = CHINCHILLA) -> "pd.DataFrame":
    """A checked frame from a file, a frame, or columns by name.

    Raises:
        InputError: as `read_table`, except that a frame may repeat rows; columns of unequal
            length.
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return checked(table, law)
    if isinstance(table, Mapping):
        try:
            columns = {name: np.atleast_1d(column) for name, column in table.items()}
            return checked(pd.DataFrame(columns), law)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"the columns do not make a table: {error}") from error
    return read_table(table, law)


def _frame(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        raise InputError(f"{path} is not a file: give a .csv or .parquet table")
    if path.suffix == ".csv":
        return _csv(path)
    if path.suffix != ".parquet":
        raise InputError(f"{path} ends in {path.suffix!r}: give a .csv or .parquet table")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a Parquet table: {error}") from error


def _csv(path: Path) -> "pd.DataFrame":
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
    names = [name.strip() or f"{UNNAMED}: {i}" for i, name in enumerate(header)]
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
