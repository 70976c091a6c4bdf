"""A note on how far the fitted floor lies from a known entropy of the text."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.layouts import NATS
from scaling_jax.laws.tables.select import fitted_rows

if TYPE_CHECKING:
    import pandas as pd

# The column of records that has the known entropy of the text, in nats per token.
_ENTROPY = "entropy"


def known_floor(frame: "pd.DataFrame", found: Fit, law: Law) -> tuple[Note, ...]:
    """A sentence that compares E, the fitted floor, with the known entropy of the runs' text.

    There is none where the runs have no known entropy or several, or the law has no floor E of a
    loss in nats per token.

    Args:
        frame: the table, with the column `entropy` where it is known.
        found: the fit, with the unit of the loss.
        law: the law that was fitted.
    """
    if _ENTROPY not in frame or "E" not in found.params or found.unit != NATS:
        return ()
    known = fitted_rows(frame, law.response)[_ENTROPY].astype(float).unique()
    if law.response != "loss" or len(known) != 1 or not np.isfinite(known[0]):
        return ()
    entropy, floor = float(known[0]), found.params["E"]
    text = (
        f"The text has an entropy of {entropy:.4f} nats per token, the least expected loss of "
        f"any model; the fitted floor E, {floor:.4f}, is {100 * (floor / entropy - 1):+.1f} % from "
        "it"
    )
    low, high = (found.intervals or {}).get("E", (np.nan, np.nan))
    if np.isfinite([low, high]).all() and low < high:
        where = "contains" if low <= entropy <= high else "misses"
        text += f", and its interval, {low:.4f} to {high:.4f}, {where} it"
    return (Note(NoteCode.KNOWN_FLOOR, f"{text}."),)
