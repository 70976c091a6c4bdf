"""The frontier alone: a law of the optimal loss in compute, carried to runs off the optimum.

Fitting only the IsoFLOP minima leaves out of the law the runs far from the optimum, where a law
L(N, D) has its largest errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import Compute
from scaling_jax.laws.extrapolation.budget_minima import BudgetMinimum, budget_minima
from scaling_jax.laws.extrapolation.power_of_compute import PowerOfCompute, fit_power
from scaling_jax.laws.priors import Prior
from scaling_jax.laws.tables.select import Rows

_LEAST_BUDGETS = 4
# How far from the optimum the curvature holds is read off so many of the largest budgets.
_LARGEST = 3


@dataclass(frozen=True)
class FrontierOnly:
    """`ln L(N, C) = ln L_opt(C) + kappa(C) (ln N - ln N_opt(C))^2`.

    Attributes:
        optimum: L_opt(C).
        size, size_exponent: N_opt at `optimum.reference` FLOPs, and its exponent in C.
        bend, bend_exponent: `kappa L_opt` at `optimum.reference` FLOPs, and its exponent in C.
        reach: the largest factor between N and N_opt that these budgets measured.
        compute: what C is.
        budgets: FLOPs of the minima that were fitted.
    """

    optimum: PowerOfCompute
    size: float
    size_exponent: float
    bend: float
    bend_exponent: float
    reach: float
    compute: Compute
    budgets: tuple[float, ...]

    def optimal_params(self, flops: ArrayLike) -> np.ndarray:
        """N_opt at C in FLOPs, elementwise."""
        ratio = np.asarray(flops, np.float64) / self.optimum.reference
        params: np.ndarray = self.size * ratio**self.size_exponent
        return params

    def reaches(self, params: ArrayLike, tokens: ArrayLike) -> np.ndarray:
        """Whether the size lies as near to the optimum as the curvature was measured."""
        off = np.abs(self._off(*_arrays(params, tokens)))
        near: np.ndarray = off <= np.log(self.reach) * (1 + 1e-9)
        return near

    def predict(self, params: ArrayLike, tokens: ArrayLike) -> np.ndarray:
        """The loss of runs of N parameters and D tokens, elementwise.

        Raises:
            InputError: a run farther off the optimum than the curvature was measured.
        """
        params, tokens = _arrays(params, tokens)
        off = self._off(params, tokens)
        far = ~self.reaches(params, tokens)
        if far.any():
            worst = int(np.abs(off).argmax())
            raise InputError(
                f"a run of {params.flat[worst]:.3g} parameters and {tokens.flat[worst]:.3g} "
                f"tokens lies a factor {np.exp(np.abs(off).max()):.3g} off the optimal size of "
                f"its compute, but the curves show the loss up to a factor {self.reach:.3g}: "
                "predict it by a law of params and tokens"
            )
        flops = self.compute.of(params, tokens)
        best = self.optimum.loss(flops)
        bend = self.bend * (flops / self.optimum.reference) ** self.bend_exponent
        loss: np.ndarray = best * np.exp(bend / best * off**2)
        return loss

    def _off(self, params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        best = self.optimal_params(self.compute.of(params, tokens))
        off: np.ndarray = np.log(params / best)
        return off


def fit_frontier_only(
    rows: Rows, *, floor: float | None = None, prior: Prior | None = None
) -> FrontierOnly:
    """The power law of the IsoFLOP minima, and the curvature about them.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.laws.extrapolation.frontier_only import fit_frontier_only
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> budget = np.repeat(np.geomspace(1e18, 1e21, 5), 7)
    >>> n = np.tile(np.geomspace(0.3, 3, 7), 5) * np.sqrt(budget / 120)
    >>> d = budget / (6 * n)
    >>> table = pd.DataFrame({"params": n, "tokens": d, "budget": budget})
    >>> table["loss"] = 1.7 + 400 / n**0.34 + 410 / d**0.28
    >>> fit = fit_frontier_only(usable_rows(table))
    >>> float(np.round(fit.predict(1e10, 2e11), 2))
    2.14
    >>> round(1.7 + 400 / 1e10**0.34 + 410 / 2e11**0.28, 2)
    2.14

    Args:
        rows: the usable rows of a table, in budgets.
        floor: E of L_opt where it is declared; 0 for a power law without a floor; None to fit it.
        prior: of E, where one is known.

    Raises:
        InputError: fewer than 4 budgets with a minimum between their smallest and largest size,
            minima that do not fall with compute, or a floor that is not below them.
    """
    minima = budget_minima(rows)
    if len(minima) < _LEAST_BUDGETS:
        raise InputError(
            f"{len(minima)} budgets have 4 sizes and a minimum between the smallest and the "
            f"largest, but the frontier alone needs {_LEAST_BUDGETS}: add budgets, or sizes at "
            "both ends"
        )
    flops_G = np.array([minimum.budget for minimum in minima])
    losses_G = np.array([minimum.loss for minimum in minima])
    optimum = fit_power(flops_G, losses_G, floor, prior)
    log_G = np.log(flops_G / optimum.reference)
    size_exponent, log_size = np.polyfit(log_G, np.log([m.params for m in minima]), 1).tolist()
    bend_exponent, bend = _bend(log_G, minima)
    return FrontierOnly(
        optimum=optimum,
        size=float(np.exp(log_size)),
        size_exponent=size_exponent,
        bend=bend,
        bend_exponent=bend_exponent,
        reach=max(minimum.reach for minimum in minima[-_LARGEST:]),
        compute=rows.compute,
        budgets=tuple(flops_G.tolist()),
    )


def _bend(log_G: np.ndarray, minima: Sequence[BudgetMinimum]) -> tuple[float, float]:
    """Exponent and value, at log 0, of the power law of the curves' second derivative.

    Under `E + A / N^alpha + B / D^beta` it falls as `L_opt - E` does; here its exponent is fitted
    by itself, so that it does not rest on a floor, and is never above 0, since curves flatten.
    """
    bend_G = np.array([minimum.curvature * minimum.loss for minimum in minima])
    weight_G = np.array([minimum.curvature / minimum.curvature_error for minimum in minima])
    exponent = min(float(np.polyfit(log_G, np.log(bend_G), 1, w=weight_G)[0]), 0.0)
    shares_G = weight_G**2 / (weight_G**2).sum()
    return exponent, float(np.exp(shares_G @ (np.log(bend_G) - exponent * log_G)))


def _arrays(params: ArrayLike, tokens: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    params, tokens = np.broadcast_arrays(
        np.asarray(params, np.float64), np.asarray(tokens, np.float64)
    )
    return params, tokens
