"""Notes on trends that residuals keep in size, data and compute, so where the law misses them."""

import numpy as np

from scaling_jax.laws.notes import Note, NoteCode
from scaling_jax.laws.tables.select import Rows
from scaling_jax.laws.uncertainty.noise_scale import robust_scale

# Three standard errors of a Gaussian, and as rare where few rows make them uncertain.
_LEAST_T, _RARE = 3.0, 0.00135
_LEAST_POINTS = 8
# A share of the loss, from one end of the data to the other: less than any run's scatter.
_LEAST_EFFECT = 1e-4
# An outlier has its own note and must not pass for a trend.
_CLIPPED_SPREADS = 6.0


def trends(rows: Rows, residuals_N: np.ndarray) -> tuple[Note, ...]:
    """Sentences on slopes of log residuals in log N, D and C, and on their curvature in log C.

    C is 6 N D, so the three slopes are two: the strongest comes first, then what it leaves of the
    others. A trend is reported when it is as rare by chance as three standard errors of a Gaussian
    and makes more than 0.01 % of the loss over the data. Rows of one run count as one.

    Args:
        rows: the fitted rows.
        residuals_N: log measured minus log predicted loss.
    """
    run_N = _runs(rows)
    weight_M = np.bincount(run_N, rows.weight)
    if len(weight_M) < _LEAST_POINTS:
        return ()
    columns = (_clipped(residuals_N), np.log10(rows.params), np.log10(rows.tokens))
    r_M, n_M, d_M = (np.bincount(run_N, rows.weight * x_N) / weight_M for x_N in columns)
    n_M, d_M = n_M - n_M.mean(), d_M - d_M.mean()
    slopes = _slopes(r_M, weight_M, {"N": n_M, "D": d_M, "C": n_M + d_M})
    return tuple(note for note in (slopes, _curvature(r_M, weight_M, n_M, d_M)) if note)


def _slopes(r_M: np.ndarray, weight_M: np.ndarray, logs: dict[str, np.ndarray]) -> Note | None:
    trends: list[str] = []
    before = [np.ones(len(r_M))]
    # Two of the three: the third is their sum or difference.
    for _ in range(2):
        found = {
            name: _last_coefficient([*before, x_M], r_M, weight_M) for name, x_M in logs.items()
        }
        strongest = max(found, key=lambda name: found[name][1])
        slope, t = found[strongest]
        x_M = logs.pop(strongest)
        if not _is_rare(t, len(r_M) - len(before) - 1) or abs(slope) * np.ptp(x_M) < _LEAST_EFFECT:
            break
        before.append(x_M)
        trends.append(
            f"{100 * slope:+.2f} % of the loss per decade of {strongest} ({t:.1f} standard errors)"
        )
    if not trends:
        return None
    text = (
        f"Residuals trend by {' and '.join(trends)}: the law bends away from the data, and farther "
        "beyond them."
    )
    return Note(NoteCode.RESIDUAL_TREND, text)


def _curvature(
    r_M: np.ndarray, weight_M: np.ndarray, n_M: np.ndarray, d_M: np.ndarray
) -> Note | None:
    """A sentence on the curvature in log C that is left after every slope is taken out."""
    c_M = n_M + d_M
    curvature, t = _last_coefficient([np.ones(len(r_M)), n_M, d_M, c_M**2], r_M, weight_M)
    # A parabola rises by so much from the middle of its range to either end.
    rise = curvature * (np.ptp(c_M) / 2) ** 2
    if not _is_rare(t, len(r_M) - 4) or abs(rise) < _LEAST_EFFECT:
        return None
    side, less = ("above", "slower") if rise > 0 else ("below", "faster")
    text = (
        f"Residuals curve with compute: at both ends of the data losses lie "
        f"{100 * abs(rise):.2f} % {side} the law, relative to its middle ({t:.1f} standard "
        f"errors). Beyond the data the loss may fall {less} than the law says."
    )
    return Note(NoteCode.RESIDUAL_CURVATURE, text)


def _last_coefficient(
    columns: list[np.ndarray], r_M: np.ndarray, weight_M: np.ndarray
) -> tuple[float, float]:
    """The last column's coefficient in weighted least squares, and its |t|."""
    root_M = np.sqrt(weight_M / weight_M.mean())
    x_MxK = np.stack(columns, axis=1) * root_M[:, None]
    inverse_KxK = np.linalg.pinv(x_MxK.T @ x_MxK)
    coefficients_K = inverse_KxK @ x_MxK.T @ (root_M * r_M)
    rest_M = root_M * r_M - x_MxK @ coefficients_K
    variance = rest_M @ rest_M / max(len(r_M) - len(columns), 1)
    error = np.sqrt(variance * inverse_KxK[-1, -1])
    return float(coefficients_K[-1]), float(abs(coefficients_K[-1]) / error) if error else 0.0


def _is_rare(t: float, freedom: int) -> bool:
    """Whether chance makes so large a t less often than a Gaussian's three standard errors."""
    if t < _LEAST_T:
        return False
    from scipy.special import stdtrit

    return t > float(stdtrit(freedom, 1 - _RARE))


def _runs(rows: Rows) -> np.ndarray:
    """The number of each row's run; without run names every row counts as a run."""
    if rows.run_id is None or (rows.run_id == "").any():
        return np.arange(len(rows))
    return np.unique(rows.run_id, return_inverse=True)[1]


def _clipped(residuals_N: np.ndarray) -> np.ndarray:
    """Residuals, clipped at 6 robust standard deviations from their median."""
    middle = np.median(residuals_N)
    most = _CLIPPED_SPREADS * robust_scale(residuals_N)
    clipped_N: np.ndarray = np.clip(residuals_N, middle - most, middle + most)
    return clipped_N
