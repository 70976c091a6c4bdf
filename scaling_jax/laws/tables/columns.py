"""The columns of a table that a law reads, whatever the law."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError, suggestion
from scaling_jax.laws.catalogue import PowerSum
from scaling_jax.laws.catalogue.function import FunctionLaw
from scaling_jax.laws.tables import cells

if TYPE_CHECKING:
    import pandas as pd

Table = Union["pd.DataFrame", Mapping[str, ArrayLike], os.PathLike, str]

# Columns that follow from two others.
_DERIVED: dict[str, tuple[str, str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "flops": ("params", "tokens", lambda n, d: 6 * n * d),
    "tokens_per_param": ("params", "tokens", lambda n, d: d / n),
    "batch_tokens": ("batch_size", "seq_len", lambda b, s: b * s),
}


@dataclass(frozen=True)
class Columns:
    """What a law is fitted to, as float64.

    Attributes:
        values: variable -> column.
        response_N: what the law predicts.
        weights_N: how often each row counts.
        n_dropped: runs left out because they are not over or only verify.
    """

    values: dict[str, np.ndarray]
    response_N: np.ndarray
    weights_N: np.ndarray
    n_dropped: int


def columns_of(form: PowerSum | FunctionLaw, table: Table) -> Columns:
    """The columns of `table` that `form` reads, checked.

    Where the table lacks them, `flops` are 6 params tokens, `tokens_per_param` tokens over
    params, and `batch_tokens` batch_size seq_len. Rows whose `status` is not `finished` and
    those of the role `verification` are left out.

    Raises:
        InputError: no such file or column, columns of unequal length, no rows, or a cell that is
            not a finite number, or not positive where it must be (a weight may be zero).
    """
    frame = _frame(table)
    kept = _finished(frame)
    if kept.empty:
        raise InputError(f"none of the table's {len(frame)} rows can be fitted: give finished runs")
    signed = form.signed if isinstance(form, FunctionLaw) else ()
    values = {name: _numbers(kept, name, form.name, name in signed) for name in form.variables}
    return Columns(
        values=values,
        response_N=_numbers(kept, form.response, form.name, form.response in signed),
        weights_N=_weights(kept),
        n_dropped=len(frame) - len(kept),
    )


def _frame(table: Table) -> "pd.DataFrame":
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    if isinstance(table, Mapping):
        try:
            return pd.DataFrame({name: np.atleast_1d(column) for name, column in table.items()})
        except ValueError as error:
            raise InputError(f"the columns do not make a table: {error}") from error
    path = Path(table)
    if not path.is_file() or path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path} is not a .csv or .parquet file")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else cells.read_csv(path)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a table: {error}") from error


def _finished(frame: "pd.DataFrame") -> "pd.DataFrame":
    keep = np.ones(len(frame), bool)
    if "status" in frame:
        keep &= frame["status"].to_numpy(str) == "finished"
    if "role" in frame:
        keep &= frame["role"].to_numpy(str) != "verification"
    return frame[keep]


def _weights(frame: "pd.DataFrame") -> np.ndarray:
    if "weight" not in frame:
        return np.ones(len(frame))
    return _checked(frame, "weight", may_be_zero=True)


def _numbers(
    frame: "pd.DataFrame", column: str, law: str, may_be_signed: bool = False
) -> np.ndarray:
    if column in frame:
        return _checked(frame, column, may_be_signed)
    if column in _DERIVED and set(_DERIVED[column][:2]).issubset(frame.columns):
        first, second, of = _DERIVED[column]
        return of(_checked(frame, first), _checked(frame, second))
    raise InputError(
        f"the law {law!r} needs the column {column!r}{suggestion(column, [*frame.columns])}"
    )


def _checked(
    frame: "pd.DataFrame", column: str, may_be_signed: bool = False, may_be_zero: bool = False
) -> np.ndarray:
    return cells.numbers(
        frame,
        column,
        may_be_blank_N=np.zeros(len(frame), bool),
        may_be_signed=may_be_signed,
        may_be_zero=may_be_zero,
    )
