"""How far a predicted loss may be off, for runs of any size and horizon: a grid of deviations."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ErrorSurface:
    """Standard deviations of log loss over runs' compute and tokens per parameter.

    >>> from scaling_jax.laws.error_surface import ErrorSurface
    >>> grid = ((0.01, 0.01), (0.04, 0.04))
    >>> surface = ErrorSurface((0.0, 2.0), (0.0, 1.0), grid, ((0.01, 0.01), (0.01, 0.01)))
    >>> round(surface.of(params=math.exp(0.5), tokens=math.exp(0.5)), 4)
    0.02

    Attributes:
        log_products: logarithms of N D, rising.
        log_ratios: logarithms of D / N, rising.
        deviations: of the error of the law at each, without a run's own noise.
        noises: the part of it that the noise of the fitted runs makes.
    """

    log_products: tuple[float, ...]
    log_ratios: tuple[float, ...]
    deviations: tuple[tuple[float, ...], ...]
    noises: tuple[tuple[float, ...], ...]

    def of(self, params: float, tokens: float) -> float:
        """The deviation of a run's predicted log loss."""
        return self._at(self.deviations, params, tokens)

    def noise(self, params: float, tokens: float) -> float:
        """The part of it that the noise of the fitted runs makes."""
        return self._at(self.noises, params, tokens)

    def _at(self, grid: tuple[tuple[float, ...], ...], params: float, tokens: float) -> float:
        """Between grid points, linear in logs; beyond the grid, as at its edge."""
        log_GxR = np.log(np.maximum(grid, math.ulp(1.0)))
        log_ratio, log_product = math.log(tokens / params), math.log(params) + math.log(tokens)
        along_G = [np.interp(log_ratio, self.log_ratios, log_R) for log_R in log_GxR]
        return math.exp(float(np.interp(log_product, self.log_products, along_G)))
