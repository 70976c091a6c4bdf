"""The deviations of predictions on a grid of compute and tokens per parameter."""

import math

import numpy as np

from scaling_jax.laws.catalogue import SKALING
from scaling_jax.laws.error_surface import ErrorSurface
from scaling_jax.laws.extrapolation.posterior import Posterior

# The grid reaches this many times beyond the largest run, in N D, and this far beyond the least
# and largest tokens per parameter.
_BEYOND, _ASIDE = 1e8, 30.0
_N_WITHIN, _N_BEYOND, _RATIO_STEP = 8, 20, 0.7


def error_surface(found: Posterior, constants_P: np.ndarray, stretch: float) -> ErrorSurface:
    """Deviations of the law's log losses from what runs will measure, their own noise aside.

    Args:
        found: what the rows say of runs.
        constants_P: of the law that describes it; what it leaves out adds to the deviation.
        stretch: what to multiply deviations by.
    """
    rows = found.rows
    log_product_N = np.log(rows.params) + np.log(rows.tokens)
    log_ratio_N = np.log(rows.tokens) - np.log(rows.params)
    low, top = float(log_product_N.min()), float(log_product_N.max())
    within = np.linspace(low, top, _N_WITHIN + 1)[:-1] if low < top else np.empty(0)
    product_G = np.concatenate([within, np.linspace(top, top + math.log(_BEYOND), _N_BEYOND)])
    left, right = log_ratio_N.min() - math.log(_ASIDE), log_ratio_N.max() + math.log(_ASIDE)
    ratio_R = np.linspace(left, right, max(2, math.ceil((right - left) / _RATIO_STEP) + 1))
    log_params = (product_G[:, None] - ratio_R) / 2
    shape, params = log_params.shape, np.exp(log_params).ravel()
    tokens = np.exp((product_G[:, None] + ratio_R) / 2).ravel()
    foreseen = found.foreseen(params, tokens)
    with np.errstate(all="ignore"):
        law = np.log(SKALING.value(constants_P, {"params": params, "tokens": tokens}))
    off = np.nan_to_num(law - foreseen.mean_G, posinf=0.0, neginf=0.0)
    deviation = np.hypot(stretch * foreseen.deviation_G, off)
    noise = np.minimum(stretch * foreseen.noise_G, deviation)
    return ErrorSurface(
        log_products=tuple(product_G.tolist()),
        log_ratios=tuple(ratio_R.tolist()),
        deviations=_grid(deviation, shape),
        noises=_grid(noise, shape),
    )


def _grid(values: np.ndarray, shape: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in values.reshape(shape).tolist())
