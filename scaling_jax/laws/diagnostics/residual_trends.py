"""What residuals still know of size, data and compute: where the law bends away from the data."""

import numpy as np

from scaling_jax.laws.tables.rows import Rows

# Three standard errors of a Gaussian, and as rare where few rows make them uncertain.
_LEAST_T, _RARE = 3.0, 0.00135
_LEAST_POINTS = 8
# Of the loss, over the whole of the data: less than any run's scatter.
_LEAST_EFFECT = 1e-4
# An outlier is told of by itself and is not to pass for a trend.
_CLIPPED_SPREADS = 6.0


def trends(rows: Rows, residuals_N: np.ndarray) -> tuple[str, ...]:
    """Slopes of log residuals in log N, log D and log C, and their curvature in log C.

    C is 6 N D, so the three slopes are two: the strongest is told, then what it leaves of the
    others. Told is what is as rare by chance as three standard errors of a Gaussian and makes
    more than 0.01 % of the loss over the data. Rows of one run count as one.
    """
    run_N = _runs(rows)
    weight_M = np.bincount(run_N, rows.weight)
    if len(weight_M) < _LEAST_POINTS:
        return ()
    columns = (_clipped(residuals_N), np.log10(rows.params), np.log10(rows.tokens))
    r_M, n_M, d_M = (np.bincount(run_N, rows.weight * x_N) / weight_M for x_N in columns)
    n_M, d_M = n_M - n_M.mean(), d_M - d_M.mean()
    said = _slopes(r_M, weight_M, {"N": n_M, "D": d_M, "C": n_M + d_M})
    return tuple(s for s in (said, _curvature(r_M, weight_M, n_M, d_M)) if s)


def _slopes(r_M: np.ndarray, weight_M: np.ndarray, logs: dict[str, np.ndarray]) -> str:
    said: list[str] = []
    before = [np.ones(len(r_M))]
    # Two of the three: the third is their sum or difference.
    for _ in range(2):
        found = {name: _last_of([*before, x_M], r_M, weight_M) for name, x_M in logs.items()}
        strongest = max(found, key=lambda name: found[name][1])
        slope, t = found[strongest]
        x_M = logs.pop(strongest)
        if not _is_rare(t, len(r_M) - len(before) - 1) or abs(slope) * np.ptp(x_M) < _LEAST_EFFECT:
            break
        before.append(x_M)
        said.append(
            f"{100 * slope:+.2f} % of the loss per decade of {strongest} ({t:.1f} standard errors)"
        )
    if not said:
        return ""
    return (
        f"Residuals trend by {' and '.join(said)}: the law bends away from the data, and farther "
        "beyond them."
    )


def _curvature(r_M: np.ndarray, weight_M: np.ndarray, n_M: np.ndarray, d_M: np.ndarray) -> str:
    """Of the residuals in log C, past every slope: a loss that falls with another bend."""
    c_M = n_M + d_M
    bend, t = _last_of([np.ones(len(r_M)), n_M, d_M, c_M**2], r_M, weight_M)
    sag = bend * (np.ptp(c_M) / 2) ** 2
    if not _is_rare(t, len(r_M) - 4) or abs(sag) < _LEAST_EFFECT:
        return ""
    side, less = ("above", "slower") if sag > 0 else ("below", "faster")
    return (
        f"Residuals curve with compute: at both ends of the data losses lie {100 * abs(sag):.2f} % "
        f"{side} the law, relative to its middle ({t:.1f} standard errors). Beyond the data the "
        f"loss may fall {less} than the law says."
    )


def _last_of(
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
    """The number of each row's run; every row is a run of its own unless the table says."""
    if rows.run_id is None or (rows.run_id == "").any():
        return np.arange(len(rows))
    return np.unique(rows.run_id, return_inverse=True)[1]


def _clipped(residuals_N: np.ndarray) -> np.ndarray:
    """Residuals brought to 6 robust spreads of their median where they lie farther off."""
    middle = np.median(residuals_N)
    bound = _CLIPPED_SPREADS * 1.4826 * np.median(np.abs(residuals_N - middle))
    return np.clip(residuals_N, middle - bound, middle + bound)
