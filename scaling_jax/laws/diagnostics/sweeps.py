"""A note on a sweep of hyperparameters in a table, of which a fit takes the middle."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.best import cells, cells_with_several, swept_columns
from scaling_jax.laws.tables.select import fitted_rows

if TYPE_CHECKING:
    import pandas as pd


def sweep_note(frame: "pd.DataFrame", law: Law, objective: Mapping[str, Any]) -> tuple[Note, ...]:
    """A sentence where rows that are alike to the law differ in their loss and in settings.

    Args:
        frame: a checked table.
        law: of the loss; others are never fitted to a sweep.
        objective: what the fit minimized, with its `name`.
    """
    if law.response != "loss":
        return ()
    used = fitted_rows(frame)
    cell_N = cells(used, law)
    names = swept_columns(used, cell_N)
    swept_N = cells_with_several(used, cell_N, names)
    if not names or not swept_N.any():
        return ()
    losses = used["loss"].groupby(cell_N)
    spread = float((losses.max() / losses.min())[list(set(cell_N[swept_N]))].max()) - 1
    by = ",".join(names)
    remedy = f"keep the best of each cell (--best-of {by}, or best_of(table, by={by!r}))"
    if objective.get("name") != "lower-envelope":
        remedy += ", or fit with the objective lower-envelope"
    text = (
        f"{int(swept_N.sum())} of {len(used)} rows share their {' and '.join(law.variables)} with "
        f"rows of another loss and differ from them in {', '.join(names)}: a sweep of "
        f"{len(set(cell_N[swept_N]))} cells, in which losses differ by up to {100 * spread:.3g} % "
        f"and of which the fit takes the middle; {remedy}."
    )
    return (Note(NoteCode.SWEEP_IN_TABLE, text),)
