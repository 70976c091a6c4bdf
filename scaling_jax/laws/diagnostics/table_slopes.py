"""Whether a table's losses fall with size and with data at all, whatever the law."""

import numpy as np

from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.select import Rows

# A rise counts from this many standard errors, and from this share of the loss over the table.
_STANDARD_ERRORS, _LEAST_RISE = 3.0, 0.005
# A change over the table that is surely smaller than this share of the loss is none.
_NO_CHANGE, _SURELY = 0.01, 2.0
# Size and data that are nearly proportional do not tell one slope from the other.
_LEAST_SINGULAR, _LEAST_ROWS = 1e-3, 8


def slope_notes(rows: Rows) -> tuple[Note, ...]:
    """A warning for params or tokens with which losses rise, or do not change, the other equal.

    Log losses are regressed on the logarithms of both and on their squares. A law whose exponents
    are positive cannot say so itself.

    Args:
        rows: with params and tokens.
    """
    log_Nx2 = np.log(np.column_stack([rows.params, rows.tokens]))
    log_Nx2 -= log_Nx2.mean(axis=0)
    span_2 = np.ptp(log_Nx2, axis=0)
    if len(rows) < _LEAST_ROWS or not span_2.all():
        return ()
    # Squares take up the bend of a law; slopes are those in the middle of the table.
    x_Nx5 = np.column_stack([log_Nx2, log_Nx2**2, np.ones(len(rows))]) / [*span_2, *span_2**2, 1]
    singular = np.linalg.svd(x_Nx5, compute_uv=False)
    if singular[-1] < _LEAST_SINGULAR * singular[0]:
        return ()
    inverse = np.linalg.inv(x_Nx5.T @ x_Nx5)
    change_5 = inverse @ x_Nx5.T @ np.log(rows.loss)
    left_N = np.log(rows.loss) - x_Nx5 @ change_5
    error_5 = np.sqrt(np.diag(inverse) * (left_N @ left_N) / (len(rows) - 5))
    notes = []
    for i, (name, other) in enumerate((("params", "tokens"), ("tokens", "params"))):
        change, error = float(change_5[i]), float(error_5[i])
        if change > max(_STANDARD_ERRORS * error, _LEAST_RISE):
            found = f"rise with {name}, by {100 * change:.2g} % over the table"
        elif abs(change) + _SURELY * error < _NO_CHANGE:
            found = f"do not change with {name}, by less than {100 * _NO_CHANGE:g} % over the table"
        else:
            continue
        text = (
            f"At equal {other} the losses {found}: what the fit says of {name}, N_opt above all, "
            "follows from its priors and not from the runs. Check the column and the recipe."
        )
        notes.append(Note(NoteCode.LOSS_RISES, text))
    return tuple(notes)
