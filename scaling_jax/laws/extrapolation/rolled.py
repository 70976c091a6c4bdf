"""Forms fitted below every cut-off, and the errors of their predictions above it."""

from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.extrapolation.candidates import Form
from scaling_jax.laws.extrapolation.cutoffs import (
    at_or_below,
    cutoffs,
    error_beyond,
    reach,
    scored,
    sizes_of,
)
from scaling_jax.laws.extrapolation.described import described
from scaling_jax.laws.extrapolation.posterior import Posterior, known_above, posterior
from scaling_jax.laws.tables.select import Rows

# Cut-offs that the errors foreseen are worth: so many count beside a table's own. With fewer, a
# lucky cut-off would make intervals too narrow (docs/extrapolation.md).
_FORESEEN = 8.0
_MEDIAN_OF_SQUARE = 0.4549  # of a standard normal number


@dataclass(frozen=True)
class Rolled:
    """Fits of every form to all rows and below every cut-off.

    Attributes:
        cutoffs: the largest compute, then those below it.
        whole: the fit to all rows.
        constants_KxP: the law that describes the fit to all rows, then those below the cut-offs.
        errors_JxK: median absolute error of log loss beyond each cut-off per unit of `growth`, by
            form.
        averaged_K: the same of all forms together.
        surprise_K: median square of those errors over the square foreseen; 1 if foreseen rightly.
        reach: how far beyond the cut-offs errors were scored, as a ratio of compute.
    """

    cutoffs: tuple[float, ...]
    whole: Posterior
    constants_KxP: np.ndarray
    errors_JxK: np.ndarray
    averaged_K: np.ndarray
    surprise_K: np.ndarray
    reach: float

    @property
    def stretch(self) -> float:
        """What to multiply foreseen deviations by, from how well they foresaw those errors.

        It is the scale of errors whose square has a prior that counts as a few cut-offs.
        """
        n = _FORESEEN + len(self.surprise_K)
        return float(np.sqrt((_FORESEEN + self.surprise_K.sum()) / n))


def roll(rows: Rows, forms: tuple[Form, ...], *, with_cutoffs: bool) -> Rolled:
    """Fit the forms to all rows and to the rows at or below every cut-off.

    Args:
        rows: with params, tokens and FLOPs.
        forms: the first is the most general.
        with_cutoffs: whether to fit below cut-offs at all.
    """
    size_N = sizes_of(rows)
    ends = cutoffs(rows) if with_cutoffs else cutoffs(rows)[:1]
    whole = posterior(rows, forms, np.ones(len(rows), bool))
    above_N = known_above(rows, whole.frontier_P, rows.params, rows.tokens)
    constants, errors, averaged, surprises = [described(whole)], [], [], []
    for end in ends[1:]:
        below = posterior(rows, forms, at_or_below(size_N, end))
        constants.append(described(below))
        foreseen = below.foreseen(rows.params, rows.tokens)
        off_N = np.log(rows.loss) - foreseen.mean_G
        averaged.append(error_beyond(off_N, size_N, end, above_N))
        scored_N = scored(size_N, end, above_N)
        square_N = off_N**2 / (foreseen.deviation_G**2 + below.run**2)
        surprises.append(float(np.median(square_N[scored_N])) / _MEDIAN_OF_SQUARE)
        errors.append(
            [
                error_beyond(_off(below.of_form(j), rows), size_N, end, above_N)
                for j in range(len(forms))
            ]
        )
    return Rolled(
        cutoffs=ends,
        whole=whole,
        constants_KxP=np.array(constants),
        errors_JxK=np.array(errors).reshape(len(ends) - 1, len(forms)).T,
        averaged_K=np.array(averaged),
        surprise_K=np.array(surprises),
        reach=reach(size_N, ends[1:], above_N),
    )


def _off(found: Posterior, rows: Rows) -> np.ndarray:
    off_N: np.ndarray = np.log(rows.loss) - found.foreseen(rows.params, rows.tokens).mean_G
    return off_N
