"""How far the losses of runs lie from every law of a form: a Gaussian process of size and data.

No law is exact. What a law misses is alike for runs of like compute and like tokens per parameter,
so that residuals of neighbours are not independent, and a fit that takes them for noise knows too
much. The misfit has a Gaussian process as its prior (Kennedy and O'Hagan 2001, J. R. Stat. Soc. B
63, 425): a Matern correlation of order 3/2 in the logarithms of compute and of tokens per
parameter. It is larger for runs far below the largest compute and far from the frontier, which are
the rows that bend a law.
"""

import math
from dataclasses import dataclass

import numpy as np

# Settled on published tables, where other lengths within a factor of 2 predict as well
# (docs/extrapolation.md).
_LENGTH_OF_COMPUTE, _LENGTH_OF_RATIO = math.log(50), math.log(10)
# The misfit's deviation falls as C^-0.4 up to the largest compute, and doubles, in squares, for a
# run whose loss is this share above the frontier.
_FALL, _ABOVE = 0.4, 0.02
# Columns that stand for the correlation of all rows, and what they may leave of a variance.
_MOST_COLUMNS, _LEAST_REST = 150, 1e-5


@dataclass(frozen=True)
class Places:
    """Runs, by what their misfit depends on.

    Attributes:
        at_Nx2: logarithms of compute and of tokens per parameter, in correlation lengths.
        scale_N: the misfit's deviation over that of a run at the largest compute on the frontier.
    """

    at_Nx2: np.ndarray
    scale_N: np.ndarray


def places(params_N: np.ndarray, tokens_N: np.ndarray, above_N: np.ndarray, top: float) -> Places:
    """Where runs are.

    Args:
        params_N: N.
        tokens_N: D.
        above_N: share of the loss by which runs lie above the frontier.
        top: the largest N D of the table.
    """
    log_product_N = np.log(params_N) + np.log(tokens_N)
    log_ratio_N = np.log(tokens_N) - np.log(params_N)
    at_Nx2 = np.column_stack([log_product_N / _LENGTH_OF_COMPUTE, log_ratio_N / _LENGTH_OF_RATIO])
    below_N = np.maximum(math.log(top) - log_product_N, 0.0)
    scale_N = np.exp(_FALL * below_N) * np.sqrt(1 + (above_N / _ABOVE) ** 2)
    return Places(at_Nx2, scale_N)


@dataclass(frozen=True)
class Features:
    """Columns whose products are the misfit's covariance: `K = columns columns' + diag(rest)`.

    A pivoted Cholesky factorization picks the rows that tell most of all others, so that tables of
    thousands of rows cost little more than small ones; what the columns leave of a row's variance
    counts as independent of other rows.

    Attributes:
        pivots: the rows picked.
        factor_MxM: Cholesky factor of their correlation.
        columns_NxM: of the rows, in units of the misfit's deviation on the frontier.
        rest_N: variance that the columns leave, in its square.
    """

    pivots: Places
    factor_MxM: np.ndarray
    columns_NxM: np.ndarray
    rest_N: np.ndarray

    def of(self, others: Places) -> tuple[np.ndarray, np.ndarray]:
        """Columns `GxM` of other runs, and what they leave of the runs' variance."""
        from scipy.linalg import solve_triangular

        known_GxM = correlation(others.at_Nx2, self.pivots.at_Nx2)
        columns_GxM = solve_triangular(self.factor_MxM, known_GxM.T, lower=True).T
        rest_G = np.maximum(1 - np.sum(columns_GxM**2, axis=1), 0.0)
        return others.scale_N[:, None] * columns_GxM, others.scale_N**2 * rest_G


def features(rows: Places) -> Features:
    """The columns of a table's rows."""
    n = len(rows.scale_N)
    rest_N, pivots = np.ones(n), np.empty(0, int)
    columns_NxM = np.zeros((n, min(n, _MOST_COLUMNS)))
    while len(pivots) < columns_NxM.shape[1]:
        pick = int(rest_N.argmax())
        if rest_N[pick] < _LEAST_REST:
            break
        m = len(pivots)
        known_N = correlation(rows.at_Nx2, rows.at_Nx2[pick : pick + 1])[:, 0]
        columns_NxM[:, m] = known_N - columns_NxM[:, :m] @ columns_NxM[pick, :m]
        columns_NxM[:, m] /= math.sqrt(rest_N[pick])
        rest_N = np.maximum(rest_N - columns_NxM[:, m] ** 2, 0.0)
        pivots = np.append(pivots, pick)
    columns_NxM = columns_NxM[:, : len(pivots)]
    return Features(
        Places(rows.at_Nx2[pivots], rows.scale_N[pivots]),
        np.tril(columns_NxM[pivots]),
        rows.scale_N[:, None] * columns_NxM,
        rows.scale_N**2 * rest_N,
    )


def correlation(at_Nx2: np.ndarray, others_Mx2: np.ndarray) -> np.ndarray:
    """Matern correlation of order 3/2 `NxM` between runs."""
    square_NxM = np.sum((at_Nx2[:, None] - others_Mx2[None]) ** 2, axis=-1)
    distance_NxM = np.sqrt(3 * square_NxM)
    found_NxM: np.ndarray = (1 + distance_NxM) * np.exp(-distance_NxM)
    return found_NxM
