"""Text that runs read several times, and how much text their corpus has."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.data_limit import UNIQUE_TOKENS, optimum_note
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.words import VERIFICATION, roles

if TYPE_CHECKING:
    import pandas as pd

# Muennighoff et al. 2023 (2305.16264): up to 4 epochs cost nearly nothing beside fresh tokens.
MOST_EPOCHS = 4.0
_TEXT_TOKENS = "text_tokens"
_WHOLE = 1.001


def unique_tokens_of(frame: "pd.DataFrame") -> float | None:
    """The distinct tokens of the longest text that the runs could read; None if that is unknown.

    Records of a study say how long the text is. In other tables, and in records of earlier
    versions, only the text that a run read to its end has a known length.
    """
    used = _fitted(frame)
    if used is None:
        return None
    tokens_N, unique_N, there_N = used
    read_N = unique_N[tokens_N / unique_N > _WHOLE]
    return float(max(read_N.max(initial=0.0), there_N[there_N > 0].max(initial=0.0))) or None


def repetition_notes(frame: "pd.DataFrame", fit: Fit) -> tuple[Note, ...]:
    """Sentences where runs, or the optimum at the largest budget, repeat text too often.

    Args:
        frame: the table; the notes need its column `unique_tokens`.
        fit: a law that reads `unique_tokens` itself has no such sentence.
    """
    used = _fitted(frame)
    if used is None or UNIQUE_TOKENS in getattr(fit, "ranges", {}):
        return ()
    epochs_N = used[0] / used[1]
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
        note = optimum_note(fit, flops, tokens)
        if note is not None and tokens > MOST_EPOCHS * stock:
            notes.append(note)
    return tuple(notes)


def _fitted(frame: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Tokens, unique tokens and those of the text, of the fitted runs; None without the first two.

    Where the length of the text is unknown it is NaN.
    """
    import pandas as pd

    if not {UNIQUE_TOKENS, "tokens", "loss"} <= set(frame):
        return None

    def numbers(name: str) -> np.ndarray:
        return pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)

    unique, tokens, loss = (numbers(name) for name in (UNIQUE_TOKENS, "tokens", "loss"))
    there = numbers(_TEXT_TOKENS) if _TEXT_TOKENS in frame else np.full(len(frame), np.nan)
    known = (unique > 0) & (tokens > 0) & np.isfinite(loss) & (roles(frame) != VERIFICATION)
    if not known.any():
        return None
    return tokens[known], unique[known], there[known]
