"""Tables of runs: from files, mappings and frames to one checked frame."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.catalogue.find import LawLike, law_or_default
from scaling_jax.laws.tables.best import best_rows, require_best_of_cells
from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.formats import frame_of
from scaling_jax.laws.tables.layouts import with_our_names

if TYPE_CHECKING:
    import pandas as pd

Table = Union["pd.DataFrame", Mapping[str, ArrayLike], "os.PathLike[str]", str]


def read_table(
    path: "os.PathLike[str] | str",
    law: Law = CHINCHILLA,
    columns: Mapping[str, str] | None = None,
) -> "pd.DataFrame":
    """The table in a file, its numbers checked.

    The file ends in `.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet`, or in one of these and `.gz`
    or `.zst`. It needs the columns that the law reads and predicts, by default `params`, `tokens`
    and `loss`; every other column is kept as it is.

    Args:
        path: of the file.
        law: what the table is read for.
        columns: our name -> the table's, such as `{"params": "n_params"}`. The layouts of Weights
            & Biases, nanochat and Stanford's CS336 are recognised.

    Raises:
        InputError: no such file, another kind of file, a missing or doubled column, or a cell
            that is not a positive finite number (a weight may be zero), named by line and column.
    """
    return _loaded(Path(path), law, columns)


def load_table(
    table: Table, law: Law = CHINCHILLA, columns: Mapping[str, str] | None = None
) -> "pd.DataFrame":
    """A checked frame from a file, a frame, or a mapping of columns, that the law can be fitted to.

    Raises:
        InputError: as `read_table`; what is no table, or columns of unequal length; a sweep, where
            the law is of the best setting.
    """
    frame = _loaded(table, law, columns)
    require_best_of_cells(frame, law)
    return frame


def best_of(
    table: Table,
    by: str | Sequence[str],
    law: LawLike | None = "chinchilla",
    columns: Mapping[str, str] | None = None,
) -> "pd.DataFrame":
    """The table with the row of lowest loss alone of each cell of a sweep.

    Rows of a cell are alike in what the law reads (by default `params` and `tokens`) and in every
    other setting; rows that a fit leaves out stay. The best seed is kept.

    >>> import scaling_jax as sj
    >>> sweep = {"params": [1e6] * 3, "tokens": [2e7] * 3, "lr": [1e-3, 2e-3, 4e-3]}
    >>> sj.best_of({**sweep, "loss": [3.3, 3.1, 3.2]}, by="lr")["lr"].tolist()
    [0.002]

    Args:
        table: as `fit` takes it.
        by: the columns that were swept, such as `"lr,batch_size"` or `("lr", "batch_size")`.
        law: what the table will be fitted with, as `fit` takes it.
        columns: as `read_table` takes it.

    Raises:
        InputError: a table that cannot be read, or a column that is not there or that the law
            reads.
    """
    form = law_or_default(law)
    return best_rows(_loaded(table, form, columns), by, form)


def named_table(
    table: Table, columns: Mapping[str, str] | None = None
) -> "tuple[pd.DataFrame, str]":
    """A table with our names for its columns, its cells as they are, and its name in messages.

    Raises:
        InputError: what is no table, a file that cannot be read, or columns of unequal length.
    """
    import pandas as pd

    if isinstance(table, Mapping):
        table = _frame_of_columns(table)
    if isinstance(table, pd.DataFrame):
        return with_our_names(table, columns), "the table"
    if not isinstance(table, str | os.PathLike):
        raise InputError(
            f"{type(table).__name__} is no table: give a frame, columns such as "
            "{'params': [...], 'tokens': [...], 'loss': [...]}, or the path of a file"
        )
    path = Path(table)
    return with_our_names(frame_of(path), columns, str(path)), str(path)


def _loaded(table: Table, law: Law, columns: Mapping[str, str] | None) -> "pd.DataFrame":
    frame, name = named_table(table, columns)
    return checked(frame, law, name)


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
