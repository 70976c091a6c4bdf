"""Model sizes whose losses lie above the law of the other sizes, as badly tuned runs do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.laws.catalogue import Law
from scaling_jax.laws.extrapolation.outlying_groups import Excess, outlying
from scaling_jax.laws.tables.select import Rows

# Fewer runs of a size do not distinguish it from an outlier.
_LEAST_RUNS = 3
# Three constants of a law describe how the loss falls with size; the other sizes must scatter.
_CONSTANTS_OF_SIZE = 3
_LEAST_OTHERS = _CONSTANTS_OF_SIZE + 2
_STEP = 1e-5
_LEAST_RATIO = 1e-8
_LEAST_ERROR = 1e-5


@dataclass(frozen=True)
class SuspectSize:
    """A model size that the others do not predict.

    Attributes:
        params: N.
        above: by which share its losses lie above the law of the other sizes.
        spreads: that, in standard errors of the difference.
    """

    params: float
    above: float
    spreads: float

    def __str__(self) -> str:
        """A sentence with the size and what to do about it."""
        return (
            f"The losses of the size {self.params:.3g} lie {100 * self.above:.2g} % above the law "
            f"of the other sizes ({self.spreads:.2g} standard errors): its runs may be badly "
            "tuned; tune their learning rate and batch size, or leave the size out."
        )


def suspect_sizes(rows: Rows, law: Law, constants_P: ArrayLike) -> tuple[SuspectSize, ...]:
    """The model sizes whose losses lie above the law of the others, the smallest first.

    The law without a size is not fitted again but taken from the fit to all sizes, by one
    Gauss-Newton step on the rows of the others. Standard errors grow where the other sizes scatter
    about it by more than their runs do. For tables of runs at equal compute use `suspect_rungs`.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.laws.catalogue import CHINCHILLA
    >>> from scaling_jax.laws.extrapolation.suspect_sizes import suspect_sizes
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> truth = [1.7, 400, 410, 0.34, 0.28]
    >>> n, d = np.repeat(np.geomspace(1e7, 1e9, 7), 5), np.tile(np.geomspace(1e9, 1e11, 5), 7)
    >>> loss = CHINCHILLA.value(truth, {"params": n, "tokens": d}) * np.where(n < 2e7, 1.03, 1)
    >>> rows = usable_rows(pd.DataFrame({"params": n, "tokens": d, "loss": loss}))
    >>> [(size.params, round(size.above, 2)) for size in suspect_sizes(rows, CHINCHILLA, truth)]
    [(10000000.0, 0.03)]

    Args:
        rows: the usable rows of a table.
        law: fitted to the rows.
        constants_P: its constants at the optimum.

    Returns:
        None at all where fewer than 6 sizes have 3 runs each, or where the rows are too few.
    """
    if not rows.has_size_and_data:
        return ()
    used_N = rows.weight > 0
    sizes, counts = np.unique(rows.params[used_N], return_counts=True)
    sizes = sizes[counts >= _LEAST_RUNS]
    slope_NxP = _slopes(law, np.asarray(constants_P, np.float64), rows)
    degrees = int(used_N.sum() - 2 * counts.max()) - slope_NxP.shape[1]
    if degrees < 1:
        return ()
    table = _Table(
        np.log(rows.loss / law.value(constants_P, rows.variables)),
        slope_NxP,
        used_N,
        rows.params == sizes[:, None],
    )
    found = outlying(len(sizes), table.compare, _LEAST_OTHERS, degrees)
    return tuple(SuspectSize(float(sizes[s]), x.above, x.spreads) for s, x in found.items())


@dataclass(frozen=True)
class _Table:
    """Residuals of log loss, their slopes in the law's constants, and the rows of each size.

    Sizes of few runs are in no group, but their rows are used by the law.
    """

    residual_N: np.ndarray
    slope_NxP: np.ndarray
    used_N: np.ndarray
    size_SxN: np.ndarray

    def compare(self, out: Sequence[int], others: Sequence[int]) -> list[Excess]:
        """How far the sizes `out` lie above the law of the others."""
        grouped_N = self.size_SxN.any(axis=0)
        others_N = self.used_N & (self.size_SxN[others].any(axis=0) | ~grouped_N)
        inverse_PxO = np.linalg.pinv(self.slope_NxP[others_N], rcond=_LEAST_RATIO)
        residual_N = self.residual_N - self.slope_NxP @ (inverse_PxO @ self.residual_N[others_N])
        degrees = int(others_N.sum()) - self.slope_NxP.shape[1]
        variance = float(residual_N[others_N] @ residual_N[others_N]) / degrees
        variance = max(variance, _LEAST_ERROR**2)
        # Sizes whose means scatter by more than their runs' noise make a mean as uncertain.
        others_of = [residual_N[self.used_N & self.size_SxN[s]] for s in others]
        squares = sum(len(one) * one.mean() ** 2 for one in others_of) / variance
        variance *= max(1.0, squares / (len(others) - _CONSTANTS_OF_SIZE))
        return [self._excess(s, residual_N, variance, inverse_PxO) for s in out]

    def _excess(
        self, size: int, residual_N: np.ndarray, variance: float, inverse_PxO: np.ndarray
    ) -> Excess:
        at_N = self.used_N & self.size_SxN[size]
        of_law_O = self.slope_NxP[at_N].mean(axis=0) @ inverse_PxO
        error = np.sqrt(variance * (1 / at_N.sum() + of_law_O @ of_law_O))
        # The median too must lie above, or one outlier would pass for a size.
        above = min(float(residual_N[at_N].mean()), float(np.median(residual_N[at_N])))
        return Excess(float(np.expm1(above)), above / float(error))


def _slopes(law: Law, constants_P: np.ndarray, rows: Rows) -> np.ndarray:
    """Derivatives of log loss in the logarithm of each constant; 0 for a constant of zero."""
    steps_PxP = 1 + _STEP * np.eye(len(constants_P))
    ends = [
        np.log(law.value(constants_P * factor_P, rows.variables))
        for factors_PxP in (steps_PxP, 2 - steps_PxP)
        for factor_P in factors_PxP
    ]
    up, down = np.array(ends).reshape(2, len(constants_P), -1)
    slope_NxP: np.ndarray = (up - down).T / (2 * _STEP)
    return slope_NxP
