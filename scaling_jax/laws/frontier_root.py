"""The compute-optimal size where FLOPs per token are a shifted power of it."""

from typing import NamedTuple

import numpy as np

# Newton's steps double the digits, and start within a factor of two of the root's exponential.
_STEPS = 12


class SizeCondition(NamedTuple):
    """The condition on x = log N at the lowest `A / N^alpha + B / D^beta` for given (N + n0)^p D.

    At the optimum alpha A / N^alpha = s beta B / D^beta, where s = p N / (N + n0) is the elasticity
    of FLOPs per token in N. In logs

        log_ratio + beta log_products - (1 + alpha) x + (1 - p beta) log(N + n0) = 0,

    which falls in x. It is convex for p beta < 1 and concave above, so that Newton's steps from the
    root of the larger (or smaller) asymptote, N or n0 alone, never pass the root. All is
    elementwise.

    Attributes:
        log_ratio: log of alpha A / (p beta B).
        alpha, beta: exponents.
        log_products: log of (N + n0)^p D.
        power: p.
        log_offset: log of n0.
    """

    log_ratio: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    log_products: np.ndarray
    power: float
    log_offset: float

    def root(self) -> np.ndarray:
        """log N at the optimum."""
        x = self._first()
        for _ in range(_STEPS):
            x = self._step(x)
        return x

    def log_tokens(self, x: np.ndarray) -> np.ndarray:
        """log D of a run of size exp(x)."""
        tokens: np.ndarray = self.log_products - self.power * np.logaddexp(x, self.log_offset)
        return tokens

    def _first(self) -> np.ndarray:
        """Where Newton's steps start."""
        constant, rest = self._constant, self._rest
        of_params = constant / (self.alpha + self.power * self.beta)
        of_offset = (constant + rest * self.log_offset) / (1 + self.alpha)
        larger, smaller = (each(of_params, of_offset) for each in (np.maximum, np.minimum))
        x: np.ndarray = np.where(rest > 0, larger, smaller)
        return x

    def _step(self, x: np.ndarray) -> np.ndarray:
        log_sum = np.logaddexp(x, self.log_offset)
        value = self._constant - (1 + self.alpha) * x + self._rest * log_sum
        nearer: np.ndarray = x - value / (self._rest * np.exp(x - log_sum) - (1 + self.alpha))
        return nearer

    @property
    def _constant(self) -> np.ndarray:
        constant: np.ndarray = self.log_ratio + self.beta * self.log_products
        return constant

    @property
    def _rest(self) -> np.ndarray:
        rest: np.ndarray = 1 - self.power * self.beta
        return rest
