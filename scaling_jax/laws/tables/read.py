"""Tables of runs: from files, mappings and frames to one checked frame."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.formats import frame_of

if TYPE_CHECKING:
    import pandas as pd

Table = Union["pd.DataFrame", Mapping[str, ArrayLike], "os.PathLike[str]", str]


def read_table(path: "os.PathLike[str] | str", law: Law = CHINCHILLA) -> "pd.DataFrame":
    """The table in a file, its numbers checked.

    The file ends in `.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet`, or in one of these and `.gz`
    or `.zst`. It needs the columns that the law reads and predicts, by default `params`, `tokens`
    and `loss`; every other column is kept as it is.

    Raises:
        InputError: no such file, another kind of file, a missing or doubled column, or a cell
            that is not a positive finite number (a weight may be zero), named by line and column.
    """
    path = Path(path)
    return checked(frame_of(path), law, str(path))


def load_table(table: Table, law: Law = CHINCHILLA) -> "pd.DataFrame":
    """A checked frame from a file, a frame, or a mapping of columns.

    Raises:
        InputError: as `read_table`; what is no table, or columns of unequal length.
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return checked(table, law)
    if isinstance(table, Mapping):
        return checked(_frame_of_columns(table), law)
    if not isinstance(table, str | os.PathLike):
        raise InputError(
            f"{type(table).__name__} is no table: give a frame, columns such as "
            "{'params': [...], 'tokens': [...], 'loss': [...]}, or the path of a file"
        )
    return read_table(table, law)


def _frame_of_columns(columns: Mapping[str, ArrayLike]) -> "pd.DataFrame":
    import pandas as pd

    nested = [name for name, column in columns.items() if isinstance(column, Mapping)]
    if nested:
        raise InputError(
            f"the column {nested[0]!r} holds a mapping: give one value per run, such as a list"
        )
    try:
        return pd.DataFrame({name: np.atleast_1d(column) for name, column in columns.items()})
    except (ValueError, TypeError) as error:
        raise InputError(
            f"the columns do not make a table: {error}; give lists of equal length"
        ) from error
