"""Warnings where the sizes that were trained do not show the optimum of their budget."""

import numpy as np

from scaling_jax import formatting
from scaling_jax.formatting import plain_spaces
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.select import Rows

_LEAST_SIZES = 3


def size_notes(rows: Rows, fit: Fit) -> tuple[Note, ...]:
    """Sentences where no budget shows its minimum, or where N_opt lies beyond a budget's sizes.

    Args:
        rows: the fitted rows; without budgets there is no sentence.
        fit: of any approach.
    """
    if rows.budget is None or not rows.has_size_and_data or not rows.is_loss:
        return ()
    budgets = [(float(b), rows.budget == b) for b in np.unique(rows.budget)]
    grids = [(b, at_N) for b, at_N in budgets if len(np.unique(rows.params[at_N])) >= _LEAST_SIZES]
    return (*_edges(rows, [at_N for _, at_N in grids]), *_beyond(rows, fit, grids))


def _edges(rows: Rows, grids: list[np.ndarray]) -> tuple[Note, ...]:
    """A sentence if the lowest loss of every budget is that of its smallest or largest size."""
    ends = set[str]()
    for at_N in grids:
        sizes, losses = rows.params[at_N], rows.loss[at_N]
        best = sizes[losses.argmin()]
        if sizes.min() < best < sizes.max():
            return ()
        ends.add("smallest" if best == sizes.min() else "largest")
    if not ends:
        return ()
    which = " or ".join(sorted(ends, reverse=True))
    beyond = {"smallest": "smaller", "largest": "larger", "smallest or largest": "more"}[which]
    text = (
        f"In every budget the lowest loss is that of the {which} model, so that no budget shows "
        f"its minimum: the optimum is extrapolated in size. Train {beyond} models."
    )
    return (Note(NoteCode.MINIMA_AT_EDGES, text),)


def _beyond(rows: Rows, fit: Fit, grids: list[tuple[float, np.ndarray]]) -> tuple[Note, ...]:
    """A sentence if N_opt of some budget is smaller than each model that was trained there."""
    if not fit.exponents:
        return ()
    found = []
    for budget, at_N in grids:
        flops, least = float(np.median(rows.flops[at_N])), float(rows.params[at_N].min())
        best = fit.optimal(flops).params if np.isfinite(flops) else np.nan
        if best < least:
            found.append((budget, best, least))
    if not found:
        return ()
    budget, best, least = found[-1]
    text = (
        f"At {formatting.flops(budget)} FLOPs the optimum has {formatting.count(best)} parameters, "
        f"fewer than the smallest model that was trained there ({formatting.count(least)}); so it "
        f"is at {len(found)} of {len(grids)} budgets. Train smaller models there."
    )
    return (Note(NoteCode.OPTIMUM_BELOW_SIZES, plain_spaces(text)),)
