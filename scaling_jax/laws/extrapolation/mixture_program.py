"""Linear programs over positive mixtures of power laws that pass through measured bands."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.extrapolation.bands import Bands

_GRID_POINTS = 100


@dataclass(frozen=True)
class MixtureProgram:
    """The linear constraints on the weights of a floor and a grid of exponents.

    Losses are divided by their mean and compute by its geometric mean.

    Attributes:
        powers_GxJ, target_J: each term at the bands' budgets and at the target.
        middle_G, half_G: the bands.
        grid_G, grid_at_target: by which share at most a mixture of the grid exceeds the mixture
            of exponents between that it stands for.
        unit: the mean loss.
    """

    powers_GxJ: np.ndarray
    target_J: np.ndarray
    middle_G: np.ndarray
    half_G: np.ndarray
    grid_G: np.ndarray
    grid_at_target: float
    unit: float

    @classmethod
    def of(cls, bands: Bands, target: float, exponents: Interval) -> "MixtureProgram":
        """The program of bands, of a target in FLOPs, and of a range of exponents."""
        low_G, high_G = np.array(bands.low), np.array(bands.high)
        log_G = np.log(bands.flops)
        centre = log_G.mean()
        grid_J = np.linspace(*exponents, _GRID_POINTS)
        every_J = np.concatenate([[0.0], grid_J])
        log_T = np.append(log_G, np.log(target)) - centre
        powers_TxJ = np.exp(-np.outer(log_T, every_J))
        error_T = _interpolation_error((grid_J[1] - grid_J[0]) * np.abs(log_T))
        unit = float((low_G + high_G).mean() / 2)
        return cls(
            powers_TxJ[:-1],
            powers_TxJ[-1],
            (low_G + high_G) / 2 / unit,
            (high_G - low_G) / 2 / unit,
            error_T[:-1],
            float(error_T[-1]),
            unit,
        )

    def least_inflation(self) -> tuple[float, int]:
        """The least factor on the half-widths that lets a member through, and the worst point."""
        half_Gx1 = self.half_G[:, None]
        upper_GxV = np.hstack([self.powers_GxJ, -(1 + self.grid_G)[:, None] * half_Gx1])
        lower_GxV = np.hstack([-self.powers_GxJ, -half_Gx1])
        limit = np.concatenate([(1 + self.grid_G) * self.middle_G, -self.middle_G])
        cost_V = np.append(np.zeros(len(self.target_J)), 1.0)
        found = _solve(cost_V, np.vstack([upper_GxV, lower_GxV]), limit)
        # By the program's dual, multipliers times half-widths are shares that sum to 1.
        multiplier_2xG = -np.asarray(found.ineqlin.marginals).reshape(2, -1)
        share_G = multiplier_2xG.sum(axis=0) * self.half_G
        return float(found.fun), int(share_G.argmax())

    def extremes(self, inflation: float) -> Interval:
        """The least and the greatest loss at the target."""
        half_G = inflation * self.half_G
        limit = np.concatenate(
            [(1 + self.grid_G) * (self.middle_G + half_G), -(self.middle_G - half_G)]
        )
        rows = np.vstack([self.powers_GxJ, -self.powers_GxJ])
        low = _solve(self.target_J, rows, limit).fun / (1 + self.grid_at_target)
        high = -_solve(-self.target_J, rows, limit).fun
        return self.unit * float(low), self.unit * float(high)


def _solve(cost_V: np.ndarray, rows_CxV: np.ndarray, limit_C: np.ndarray) -> Any:
    """The least `cost . v` over `v >= 0` with `rows v <= limit`."""
    from scipy.optimize import linprog

    found = linprog(cost_V, A_ub=rows_CxV, b_ub=limit_C, bounds=(0, None), method="highs")
    if found.status != 0:
        raise RuntimeError(f"HiGHS could not solve a linear program that has an answer: {found}")
    return found


def _interpolation_error(a_T: np.ndarray) -> np.ndarray:
    """By which share linear interpolation of `x^-g` between two exponents exceeds it at most.

    A power between two of the grid, of spacing h, is replaced by the two with linear weights. The
    ratio is `e^(a t) (1 - t + t e^-a)` at share t of the way, with `a = h |ln x|`; it is largest
    at `t = 1 / (1 - e^-a) - 1 / a`.
    """
    a_T = np.maximum(a_T, 1e-4)  # Below, 1 / (1 - e^-a) and 1 / a cancel; the error is a^2 / 8.
    gap_T = -np.expm1(-a_T)
    share_T = 1 / gap_T - 1 / a_T
    error_T: np.ndarray = np.exp(a_T * share_T) * gap_T / a_T - 1
    return error_T.clip(min=0)
