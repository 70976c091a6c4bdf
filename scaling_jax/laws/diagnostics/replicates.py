"""The noise between runs that differ in their seed alone, and whether a law misses by more."""

import math
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.best import cells, cells_with_several, swept_columns
from scaling_jax.laws.tables.select import Rows, fitted_rows, repeats_runs

if TYPE_CHECKING:
    import pandas as pd

# Chance gives so large a lack of fit less often than this.
_RARE = 0.01


def seed_notes(frame: "pd.DataFrame", rows: Rows, found: Fit, law: Law) -> tuple[Note, ...]:
    """Sentences on the noise between seeds, where a table has several runs of one cell.

    The runs of a cell have equal size and data, so no law tells them apart: their scatter is the
    noise that every law leaves. A law that misses the means of cells by clearly more has a wrong
    form, or its runs are not trained alike (the F test of lack of fit).

    Args:
        frame: a checked table.
        rows: of it, that were fitted.
        found: the fit.
        law: of the loss; others have no such sentence.
    """
    if law.response != "loss" or not rows.is_loss or repeats_runs(rows):
        return ()
    used = fitted_rows(frame)
    cell_N = cells(used, law)
    swept_N = cells_with_several(used, cell_N, swept_columns(used, cell_N))
    log_N = np.log(used["loss"].to_numpy(np.float64))
    freedom, noise = _between(log_N[~swept_N], cell_N[~swept_N])
    if freedom == 0 or noise == 0:
        return ()
    low, high = _interval(noise, freedom)
    several = np.unique(cell_N[~swept_N], return_counts=True)[1]
    text = (
        f"{int((several > 1).sum())} sizes and lengths have several runs that differ in their seed "
        f"alone; their losses scatter by {100 * noise:.2g} % ({100 * low:.2g} to "
        f"{100 * high:.2g} % at {LEVEL:.0%}, {freedom} degrees of freedom)."
    )
    lack = None
    if isinstance(found, LawFit) and len(rows) == len(used) and not swept_N.any():
        values = {name: rows.variables[name] for name in found.definition.variables}
        constants_P = np.array([found.params[name] for name in found.definition.names])
        log_law_N = np.log(found.definition.value(constants_P, values))
        lack = _lack_of_fit(log_N - log_law_N, cell_N, len(constants_P), noise, freedom)
    return (Note(NoteCode.SEED_NOISE, text), *((lack,) if lack else ()))


def _between(log_N: np.ndarray, cell_N: np.ndarray) -> tuple[int, float]:
    """Degrees of freedom and standard deviation of log losses about the means of their cells."""
    _, at_N, counts_C = np.unique(cell_N, return_inverse=True, return_counts=True)
    mean_C = np.bincount(at_N, weights=log_N) / counts_C if len(log_N) else counts_C
    freedom = len(log_N) - len(counts_C)
    if freedom == 0:
        return 0, 0.0
    return freedom, math.sqrt(float(np.sum((log_N - mean_C[at_N]) ** 2)) / freedom)


def _interval(noise: float, freedom: int) -> tuple[float, float]:
    from scipy import stats

    outside = (1 - LEVEL) / 2
    low, high = (freedom / stats.chi2.ppf(q, freedom) for q in (1 - outside, outside))
    return noise * math.sqrt(low), noise * math.sqrt(high)


def _lack_of_fit(
    residual_N: np.ndarray, cell_N: np.ndarray, n_constants: int, noise: float, freedom: int
) -> Note | None:
    """A sentence if the means of cells lie farther off the law than the noise explains."""
    from scipy import stats

    _, at_N, counts_C = np.unique(cell_N, return_inverse=True, return_counts=True)
    mean_C = np.bincount(at_N, weights=residual_N) / counts_C
    cells_free = len(counts_C) - n_constants
    if cells_free < 1:
        return None
    misfit = math.sqrt(float(np.sum(counts_C * mean_C**2)) / cells_free)
    ratio = (misfit / noise) ** 2
    p = float(stats.f.sf(ratio, cells_free, freedom))
    if p > _RARE:
        return None
    chance = "below 0.0001" if p < 1e-4 else f"{p:.1g}"
    text = (
        f"The law misses sizes and lengths as a noise of {100 * misfit:.2g} % a run would, more "
        f"than the {100 * noise:.2g} % between seeds (F {ratio:.3g}, chance {chance}): its form "
        "errs there, or runs are not trained alike, and more seeds do not cure that."
    )
    return Note(NoteCode.LACK_OF_FIT, text)
