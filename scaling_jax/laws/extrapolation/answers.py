"""What a fit answers beyond the data where its records are there: as data, in words, with notes."""

from collections.abc import Mapping, Sequence

from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.answers import Answer
from scaling_jax.laws.extrapolation.judgement import certificate_notes
from scaling_jax.laws.extrapolation.sensitivity import fitted_rows_of, sensitivity
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.tables.read import Table


def certified(
    fitted: Fit, table: Table, flops: float, columns: Mapping[str, str] | None = None
) -> Answer:
    """The range of the optimal loss at a budget over all positive mixtures of power laws.

    Args:
        fitted: of the table.
        table: as `fit` takes it.
        flops: the budget.
        columns: our name -> the table's.

    Raises:
        InputError: a table that cannot be read, or another than the fit's.
    """
    rows = fitted_rows_of(fitted, table, columns)
    notes = certificate_notes(rows, flops, fitted.level, fitted)
    return {}, "\n".join(note.line for note in notes), notes


def changed(
    fitted: Fit,
    table: Table | None,
    *,
    flops: float | None = None,
    at: Mapping[str, float] | None = None,
    floors: Sequence[float] = (),
    columns: Mapping[str, str] | None = None,
) -> Answer:
    """The answer with one thing changed at a time, as `sensitivity` takes its arguments.

    Raises:
        InputError: no table, or as `sensitivity`.
    """
    if table is None:
        raise InputError(
            "a stored fit holds its law without the runs, and a sensitivity fits the runs again: "
            "give --records TABLE, or the table instead of the fit"
        )
    found = sensitivity(table, flops=flops, at=at, fit=fitted, floors=floors, columns=columns)
    return {"sensitivity": found.data()}, str(found), ()
