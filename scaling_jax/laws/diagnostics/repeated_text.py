"""Text that runs read several times, and how much text their corpus has."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax import formatting
from scaling_jax.formatting import plain_spaces
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.words import VERIFICATION, roles

if TYPE_CHECKING:
    import pandas as pd

# Muennighoff et al. 2023 (2305.16264): up to 4 epochs cost nearly nothing beside fresh tokens.
MOST_EPOCHS = 4.0
# Where the key stands in a fit's provenance.
UNIQUE_TOKENS = "unique_tokens"
_WHOLE = 1.001


def unique_tokens_of(frame: "pd.DataFrame") -> float | None:
    """The distinct tokens of the longest text that a run read to its end; None if none did."""
    used = _epochs(frame)
    if used is None:
        return None
    epochs_N, unique_N = used
    return float(unique_N[epochs_N > _WHOLE].max(initial=0.0)) or None


def repetition_notes(frame: "pd.DataFrame", fit: Fit) -> tuple[Note, ...]:
    """Sentences where runs, or the optimum at the largest budget, repeat text too often.

    Args:
        frame: the table; the notes need its column `unique_tokens`.
        fit: a law that reads `unique_tokens` itself has no such sentence.
    """
    used = _epochs(frame)
    if used is None or UNIQUE_TOKENS in getattr(fit, "ranges", {}):
        return ()
    epochs_N, _ = used
    notes = []
    if (n := int((epochs_N > MOST_EPOCHS).sum())) > 0:
        text = (
            f"{n} of {len(epochs_N)} runs read their text more than {MOST_EPOCHS:g} times, up to "
            f"{epochs_N.max():.3g} times: repeated tokens lower the loss less than fresh ones, so "
            "that the exponents are of this text. Use more text, or the law data-constrained."
        )
        notes.append(Note(NoteCode.TEXT_REPEATED, text))
    stock = unique_tokens_of(frame)
    if stock is not None and fit.exponents:
        flops = fit.flops_range[1]
        tokens = fit.optimal(flops).tokens
        if tokens > MOST_EPOCHS * stock:
            notes.append(limit_note(flops, tokens, stock))
    return tuple(notes)


def limit_note(flops: float, tokens: float, stock: float) -> Note:
    """A sentence that an optimum reads the runs' text more than once."""
    text = (
        f"The optimum at {formatting.flops(flops)} FLOPs reads {formatting.count(tokens)} tokens, "
        f"{formatting.significant(tokens / stock)} times the {formatting.count(stock)} unique "
        "tokens of the runs' text, as if they were fresh; predict takes this limit by default."
    )
    return Note(NoteCode.DATA_LIMIT, plain_spaces(text))


def _epochs(frame: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray] | None:
    """Epochs and unique tokens of the fitted runs; None where the table does not have them."""
    import pandas as pd

    if not {UNIQUE_TOKENS, "tokens", "loss"} <= set(frame):
        return None
    unique, tokens, loss = (
        pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
        for name in (UNIQUE_TOKENS, "tokens", "loss")
    )
    known = (unique > 0) & (tokens > 0) & np.isfinite(loss) & (roles(frame) != VERIFICATION)
    if not known.any():
        return None
    return tokens[known] / unique[known], unique[known]
