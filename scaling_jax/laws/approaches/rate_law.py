"""The law of the best learning rate: a power of parameters, tokens and batch.

`lr = c N^n D^d B^g`, by weighted least squares of the logarithms of the optima of a sweep. The
exponent of D is the correction for the token horizon: without one, a ladder's larger rungs train at
rates that are too high (Bjorck et al. 2024, 2409.19913).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.sweep_optimum import RateOptimum
from scaling_jax.laws.conventions import LEVEL

VARIABLES = ("params", "tokens", "batch_size")

# Probability of a misfit by chance below which the law, not the noise, is taken to be its cause.
_MISFIT = 0.1

Sizes = Mapping[str, float]


@dataclass(frozen=True)
class RateLaw:
    """The fitted law `value * product((x / reference[x]) ** exponents[x])`.

    Attributes:
        value: best rate at the reference.
        reference: parameters, tokens and sequences per step at which the rate is `value`.
        exponents: of parameters, tokens and sequences per step.
        assumed: variables whose exponent was given, because the sweep did not vary them.
        covariance: of `ln value` and the fitted exponents, in the order of `VARIABLES`.
        freedom: degrees of freedom of the covariance.
        level: share of probability in the intervals.
    """

    value: float
    reference: Mapping[str, float]
    exponents: Mapping[str, float]
    assumed: tuple[str, ...]
    covariance: tuple[tuple[float, ...], ...]
    freedom: int
    level: float = LEVEL

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of each fitted exponent."""
        fitted = [name for name in VARIABLES if name not in self.assumed]
        widths = np.sqrt(np.diag(np.array(self.covariance)))[1:] * self._quantile
        return {
            name: (self.exponents[name] - width, self.exponents[name] + width)
            for name, width in zip(fitted, map(float, widths), strict=True)
        }

    def rate(self, at: Sizes) -> float:
        """The best rate at a size: `params`, `tokens` and `batch_size` in sequences."""
        logs = {name: math.log(at[name] / self.reference[name]) for name in VARIABLES}
        return self.value * math.exp(sum(self.exponents[name] * logs[name] for name in VARIABLES))

    def interval(self, at: Sizes) -> tuple[float, float]:
        """The interval of the best rate at a size; assumed exponents count as known."""
        fitted = [name for name in VARIABLES if name not in self.assumed]
        x_P = np.array([1.0, *(math.log(at[name] / self.reference[name]) for name in fitted)])
        width = self._quantile * math.sqrt(x_P @ np.array(self.covariance) @ x_P)
        rate = self.rate(at)
        return rate * math.exp(-width), rate * math.exp(width)

    @property
    def _quantile(self) -> float:
        from scipy import stats

        return float(stats.t.ppf(0.5 + self.level / 2, self.freedom))


def fit_rate_law(
    optima: Sequence[tuple[Sizes, RateOptimum]],
    freedom: int,
    *,
    assumed: Mapping[str, float] | None = None,
    level: float = LEVEL,
) -> RateLaw:
    """The law through the optima of a sweep, with the interval of each exponent.

    Where the optima miss the law by more than their errors explain (an F test), the errors are
    enlarged by as much (Birge's ratio), with as many degrees of freedom as there are optima beyond
    constants. Otherwise runs and optima estimate the noise together.

    Args:
        optima: the size of each cell, and its optimum.
        freedom: degrees of freedom of the optima's errors.
        assumed: exponents that are given, of variables that the sweep did not vary.
        level: share of probability in the intervals.

    Raises:
        InputError: fewer optima than constants, a variable without an assumed exponent that does
            not vary or follows the others, or optima without errors.
    """
    given = dict(assumed or {})
    fitted = [name for name in VARIABLES if name not in given]
    errors_N = np.array([optimum.log_error for _, optimum in optima])
    if not np.isfinite(errors_N).all() or freedom < 1:
        raise InputError(
            "the noise of the sweep is not known, because each cell has as many runs as its "
            "parabola has constants: sweep at least four rates in a cell, or several seeds"
        )
    logs_NxV = np.log([[sizes[name] for name in VARIABLES] for sizes, _ in optima])
    centre_V = logs_NxV.mean(axis=0)
    x_NxP = np.column_stack(
        [np.ones(len(optima)), *((logs_NxV - centre_V)[:, VARIABLES.index(n)] for n in fitted)]
    )
    if np.linalg.matrix_rank(x_NxP, tol=1e-6) < x_NxP.shape[1]:
        raise InputError(
            f"{len(optima)} optima do not determine the exponents of {', '.join(fitted)}: sweep "
            "sizes and horizons that vary independently"
        )
    y_N = np.log([optimum.rate for _, optimum in optima])
    for name, exponent in given.items():
        y_N = y_N - exponent * (logs_NxV - centre_V)[:, VARIABLES.index(name)]
    # Cells whose losses happen to lie on a parabola must not decide alone.
    weights_N = 1 / np.maximum(errors_N, 1e-9) ** 2
    covariance_PxP = np.linalg.inv(x_NxP.T @ (weights_N[:, None] * x_NxP))
    solution_P = covariance_PxP @ (x_NxP.T @ (weights_N * y_N))
    left_N, beyond = y_N - x_NxP @ solution_P, len(optima) - x_NxP.shape[1]
    widened, freedom = _widened(float(weights_N @ left_N**2), beyond, freedom)
    exponents = given | dict(zip(fitted, map(float, solution_P[1:]), strict=True))
    return RateLaw(
        value=math.exp(solution_P[0]),
        reference=dict(zip(VARIABLES, map(float, np.exp(centre_V)), strict=True)),
        exponents={name: exponents[name] for name in VARIABLES},
        assumed=tuple(name for name in VARIABLES if name in given),
        covariance=tuple(tuple(map(float, row)) for row in widened * covariance_PxP),
        freedom=freedom,
        level=level,
    )


def _widened(chi2: float, beyond: int, freedom: int) -> tuple[float, int]:
    """The factor of the covariance and its degrees of freedom, given how optima miss the law.

    `chi2` is of `beyond` optima more than constants, in units of errors of `freedom` degrees.
    """
    from scipy import stats

    if not beyond:
        return 1.0, freedom
    ratio = chi2 / beyond
    if stats.f.sf(ratio, beyond, freedom) < _MISFIT:
        return ratio, beyond
    return (freedom + chi2) / (freedom + beyond), freedom + beyond
