"""Checks of a table's columns and cells; a wrong cell is named by its line and column."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import CHINCHILLA, Law
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN, PARAMS_COLUMN
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.csv_text import UNNAMED
from scaling_jax.laws.tables.layouts import hint, with_notes
from scaling_jax.laws.tables.words import FINISHED, VERIFICATION, roles, states, texts, where

if TYPE_CHECKING:
    import pandas as pd


# Columns that follow from two others, where a table does not have them.
DERIVED: dict[str, tuple[str, str]] = {
    "flops": ("params", "tokens"),
    "tokens_per_param": ("params", "tokens"),
    "batch_tokens": ("batch_size", "seq_len"),
}

# Columns that a fit uses wherever they stand, whatever the law reads.
_OPTIONAL = ("params", "flops", "budget", "weight")
# Columns that a fit uses only where N counts so.
_OTHER_COUNTS = tuple(column for column in PARAMS_COLUMN.values() if column != "params")
_SIZE_AND_DATA = {"params", "tokens"}
# Products and powers of larger or smaller numbers leave the range of float64.
_LEAST, _MOST = 1e-60, 1e60
_MOST_SHOWN = 60
_KINDS = {"b": "true and false", "M": "dates", "m": "durations", "c": "complex numbers"}


def checked(
    frame: "pd.DataFrame", law: Law = CHINCHILLA, name: str = "the table"
) -> "pd.DataFrame":
    """The table with the columns of the law, and other known ones, as numbers.

    Only rows that a fit uses are judged: what another row holds in place of a number is NaN.

    Raises:
        InputError: no rows, a column missing or twice, or a wrong cell.
    """
    if frame.empty:
        raise InputError(f"{name} has no rows: give at least one per run")
    _require_distinct_columns(frame, name)
    frame = _with_tokens(frame, law, name)
    required = [*dict.fromkeys(_required(frame, (*law.variables, law.response), law, name))]
    companions = [c for c in _SIZE_AND_DATA if reads_size_and_data(law) and c in frame]
    known = [*_OPTIONAL, *companions]
    unused_N = reasons(frame, law.response) != ""
    numbers_of = {}
    for column in dict.fromkeys([*required, *(c for c in known if c in frame)]):
        numbers_of[column] = numbers(
            frame,
            column,
            may_be_blank_N=unused_N if column in required else np.ones(len(frame), bool),
            unused_N=unused_N,
            may_be_zero=column == "weight",
            may_be_signed=column in law.signed,
            name=name,
        )
    for column in _OTHER_COUNTS:
        if column in frame and column not in numbers_of:
            with suppress(InputError):
                blank_N = np.ones(len(frame), bool)
                numbers_of[column] = numbers(
                    frame, column, may_be_blank_N=blank_N, unused_N=unused_N
                )
    return frame.assign(**numbers_of)


def reads_size_and_data(law: Law) -> bool:
    """Whether the law is one of the loss in model size and training tokens alone."""
    return law.response == "loss" and _SIZE_AND_DATA.issuperset(law.variables)


def reasons(frame: "pd.DataFrame", response: str = "loss") -> np.ndarray:
    """Why a fit leaves each row out; empty for rows that it uses.

    A blank `status` says nothing about a run: the row is used where it has a response.

    Raises:
        InputError: an unknown word in `status` or `role`.
    """
    import pandas as pd

    found_N = np.full(len(frame), "", object)
    if "weight" in frame:
        found_N[(pd.to_numeric(frame["weight"], errors="coerce") == 0).to_numpy()] = "of weight 0"
    found_N[roles(frame) == VERIFICATION] = VERIFICATION
    state_N = states(frame)
    open_N = (state_N != "") & (state_N != FINISHED)
    found_N[open_N] = state_N[open_N]
    if "status" in frame and response in frame:
        found_N[(state_N == "") & is_blank(frame[response])] = f"without a {response}"
    return found_N


def repeated(frame: "pd.DataFrame") -> str:
    """Which finished rows of a checked table repeat an earlier one in every column, in words."""
    finished_N = np.isin(states(frame), ["", FINISHED])
    return _repeated_rows(frame[finished_N])


def _with_tokens(frame: "pd.DataFrame", law: Law, name: str) -> "pd.DataFrame":
    """The table, with tokens C / (6 N) where it has compute and no tokens."""
    compute = next((each for each in ("flops", "budget") if each in frame), None)
    if compute is None or "tokens" in frame or "params" not in frame:
        return frame
    if "tokens" not in law.variables:
        return frame
    unused_N = reasons(frame, law.response) != ""
    params_N, flops_N = (
        numbers(frame, column, may_be_blank_N=unused_N, unused_N=unused_N, name=name)
        for column in ("params", compute)
    )
    made = frame.assign(tokens=flops_N / FLOPS_PER_PARAM_TOKEN / params_N)
    text = f"The table has no tokens: they are taken as {compute} / (6 params)."
    made.attrs = with_notes(frame, Note(NoteCode.TOKENS_DERIVED, text))
    return made


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
                f"{name} lacks the column {column!r}{hint(column, frame.columns)}: it "
                f"has {', '.join(map(str, frame.columns))}; the law "
                f"{law.name!r} needs the column {column!r}"
            )


def is_blank(cells: "pd.Series") -> np.ndarray:
    """Which cells are missing or hold nothing."""
    missing_N = cells.isna().to_numpy(bool)
    return missing_N if getattr(cells.dtype, "kind", "O") in "iuf" else texts(cells) == ""


def numbers(
    frame: "pd.DataFrame",
    column: str,
    *,
    may_be_blank_N: np.ndarray,
    unused_N: np.ndarray | None = None,
    may_be_zero: bool = False,
    may_be_signed: bool = False,
    name: str = "",
) -> np.ndarray:
    """A column as float64, NaN where a cell may be blank and is, or is wrong and not used.

    Raises:
        InputError: a column of another kind; a cell that is not a finite number, or not positive
            (or at least zero) where it must be, named by row and column.
    """
    cells = frame[column]
    kind = getattr(cells.dtype, "kind", "O")
    if kind in _KINDS:
        place = f"{name}, column" if name else "column"
        raise InputError(
            f"{place} {column!r} holds {_KINDS[kind]} ({cells.iloc[0]}), not numbers: convert "
            "it to numbers or rename it"
        )
    values = as_numbers(cells)
    good = np.isfinite(values) & (np.abs(values) <= _MOST)
    if not may_be_signed:
        good &= (values >= _LEAST) | (may_be_zero & (values == 0))
    wrong = ~good & ~(is_blank(cells) & may_be_blank_N)
    if unused_N is not None:
        wrong &= ~unused_N
    if not wrong.any():
        return np.where(good, values, np.nan)
    row = int(wrong.argmax())
    rule = "finite number" if may_be_signed else "positive finite number"
    if may_be_zero:
        rule = "finite number of at least 0 (a row of weight 0 does not count)"
    if np.isfinite(values[row]) and (may_be_signed or values[row] > 0):
        rule = f"number from {_LEAST:g} to {_MOST:g}"
    place = f"{name}, {where(frame, row)}" if name else where(frame, row)
    raise InputError(
        f"{place}, column {column!r}: {shortened(cells.iloc[row])} is not a {rule}; correct the "
        "cell or remove the row"
    )


def shortened(value: object) -> str:
    """The value as a message shows it, cut where it is long."""
    try:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    except ValueError:
        # Python refuses to write out a whole number of more than 4,300 digits.
        return "a number of thousands of digits"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def as_numbers(cells: "pd.Series") -> np.ndarray:
    """Every cell as a number, NaN where it is none."""
    import pandas as pd

    if cells.dtype != object:
        return pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.array([_as_float(cell) for cell in cells], np.float64)


def _as_float(cell: object) -> float:
    # Python would take True for 1, and NumPy a moment for the nanoseconds since 1970.
    if isinstance(cell, bool | np.bool_ | np.datetime64 | np.timedelta64) or cell is None:
        return np.nan
    if isinstance(cell, str) and "_" in cell:
        return np.nan
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return np.nan
    except OverflowError:
        return np.inf


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
