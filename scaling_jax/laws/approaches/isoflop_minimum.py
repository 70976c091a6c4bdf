"""The minimum of an IsoFLOP curve: by parabola, windowed parabola or Akima interpolation.

Every method takes many draws of the same curve at once and returns the log size and the loss at
the minimum of each; NaN where a draw has no minimum.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.conventions import Method

# Far from its minimum an IsoFLOP curve is no parabola (Czech et al. 2026, arXiv 2603.22339). A
# windowed parabola keeps the sizes within this factor of the best, and at least four, one more
# than a parabola needs.
_WINDOW = 4.0
_LEAST_IN_WINDOW = 4
_AKIMA_POINTS_PER_GAP = 50


@dataclass(frozen=True)
class CurveMinima:
    """The minimum of every draw of a curve.

    Attributes:
        x_B: log size, NaN without a minimum.
        loss_B: nats per token at the minimum.
        fitted_BxN: the curve at the rows' own sizes; NaN for rows outside a window.
        quadratic_Bx3: (c0, c1, c2) in log size; None for Akima.
    """

    x_B: np.ndarray
    loss_B: np.ndarray
    fitted_BxN: np.ndarray
    quadratic_Bx3: np.ndarray | None


def curve_minima(
    method: Method, x_N: np.ndarray, loss_BxN: np.ndarray, measured_N: np.ndarray | None = None
) -> CurveMinima:
    """The minimum of every draw `loss_BxN` of one curve over log sizes `x_N`.

    A window is one for all draws, so that draws differ in their losses alone. It lies around the
    best size of `measured_N`, or else of the mean of the draws.
    """
    if method == "window":
        return _window(x_N, loss_BxN, loss_BxN.mean(axis=0) if measured_N is None else measured_N)
    return _METHODS[method](x_N, loss_BxN)


def size_means(x_N: np.ndarray, loss_N: np.ndarray) -> np.ndarray:
    """For each run the mean loss over all runs of its size, so that no seed is best by luck.

    >>> size_means(np.array([1.0, 2.0, 1.0]), np.array([3.0, 5.0, 4.0])).tolist()
    [3.5, 5.0, 3.5]
    """
    _, row_N = np.unique(x_N, return_inverse=True)
    means_U: np.ndarray = np.bincount(row_N, weights=loss_N) / np.bincount(row_N)
    return means_U[row_N]


def window_of(x_N: np.ndarray, loss_N: np.ndarray) -> np.ndarray:
    """Which rows a windowed parabola is fitted to, as a mask."""
    distance_N = np.abs(x_N - x_N[loss_N.argmin()])
    nearest = np.sort(distance_N)[min(_LEAST_IN_WINDOW, len(x_N)) - 1]
    inside_N: np.ndarray = distance_N <= max(np.log(_WINDOW), nearest) * (1 + 1e-9)
    return inside_N


def _parabola(x_N: np.ndarray, loss_BxN: np.ndarray) -> CurveMinima:
    quadratic_Bx3 = _quadratics(x_N, loss_BxN)
    c0, c1, c2 = quadratic_Bx3.T
    with np.errstate(divide="ignore", invalid="ignore"):
        x_B = np.where(c2 > 0, -c1 / (2 * c2), np.nan)
        loss_B = c0 - c1**2 / (4 * c2)
    fitted_BxN = c0[:, None] + c1[:, None] * x_N + c2[:, None] * x_N**2
    return CurveMinima(x_B, np.where(c2 > 0, loss_B, np.nan), fitted_BxN, quadratic_Bx3)


def _quadratics(x_N: np.ndarray, loss_BxN: np.ndarray) -> np.ndarray:
    """Least-squares `(c0, c1, c2)` of `loss = c0 + c1 x + c2 x^2`, `Bx3`, for every draw."""
    # Powers of ln N near 20 are nearly collinear; about its mean they are not.
    mean = x_N.mean()
    c0, c1, c2 = np.linalg.pinv(np.vander(x_N - mean, 3, increasing=True)) @ loss_BxN.T
    return np.stack([c0 - c1 * mean + c2 * mean**2, c1 - 2 * c2 * mean, c2], axis=1)


def _window(x_N: np.ndarray, loss_BxN: np.ndarray, around_N: np.ndarray) -> CurveMinima:
    inside_N = window_of(x_N, around_N)
    part = _parabola(x_N[inside_N], loss_BxN[:, inside_N])
    fitted_BxN = np.full(loss_BxN.shape, np.nan)
    fitted_BxN[:, inside_N] = part.fitted_BxN
    return CurveMinima(part.x_B, part.loss_B, fitted_BxN, part.quadratic_Bx3)


def _akima(x_N: np.ndarray, loss_BxN: np.ndarray) -> CurveMinima:
    """Akima's interpolation of log loss in log size (Porian et al. 2024, arXiv 2406.19146).

    An interpolation has no bias of a fitted shape, but follows the noise of single runs. Runs of
    one size are averaged first, since it needs distinct sizes.
    """
    from scipy.interpolate import Akima1DInterpolator

    x_U, row_N = np.unique(x_N, return_inverse=True)
    counts_U = np.bincount(row_N)
    logs_BxU = np.stack([np.bincount(row_N, weights=np.log(row)) / counts_U for row in loss_BxN])
    fine = np.linspace(x_U[0], x_U[-1], (len(x_U) - 1) * _AKIMA_POINTS_PER_GAP + 1)
    curve_BxM = Akima1DInterpolator(x_U, logs_BxU, axis=1)(fine)
    at_B = curve_BxM.argmin(axis=1)
    inside_B = (at_B > 0) & (at_B < len(fine) - 1)
    loss_B = np.exp(curve_BxM[np.arange(len(at_B)), at_B])
    x_B = np.where(inside_B, fine[at_B], np.nan)
    return CurveMinima(x_B, np.where(inside_B, loss_B, np.nan), np.exp(logs_BxU)[:, row_N], None)


_METHODS: dict[str, Callable[[np.ndarray, np.ndarray], CurveMinima]] = {
    "parabola": _parabola,
    "akima": _akima,
}
