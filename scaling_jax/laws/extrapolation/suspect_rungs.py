"""Budgets whose best loss lies above the trend of the others, as badly tuned runs do.

Runs can only be worse than the best recipe, so a rung that is off for its tuning is off upwards;
most often the smallest rungs are, since a recipe is tuned at larger ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.extrapolation.budget_minima import BudgetMinimum, budget_minima
from scaling_jax.laws.extrapolation.outlying_groups import Excess, outlying
from scaling_jax.laws.tables.select import Rows

# Within a few decades of compute the frontier is a quadratic in logs to 0.1 %.
_CONSTANTS = 3
# The others must show their own scatter about it.
_LEAST_OTHERS = _CONSTANTS + 1


@dataclass(frozen=True)
class SuspectRung:
    """A budget that the others do not predict.

    Attributes:
        budget: FLOPs.
        above: by which share its optimal loss lies above the trend of the others.
        spreads: that, in standard errors of the difference.
    """

    budget: float
    above: float
    spreads: float

    def __str__(self) -> str:
        """A sentence with the rung and what to do about it."""
        return (
            f"The best loss at {self.budget:.3g} FLOPs lies {100 * self.above:.2g} % above the "
            f"trend of the other budgets ({self.spreads:.2g} standard errors): its runs may be "
            "badly tuned; tune their learning rate and batch size, or leave the budget out."
        )


def suspect_rungs(rows: Rows) -> tuple[SuspectRung, ...]:
    """The budgets whose optimal loss lies above the trend of the others, the smallest first.

    The trend is a quadratic of log loss in log compute through the minima of the other budgets,
    weighted by their standard errors, which grow where the others scatter about it by more. The
    rung that is farthest off, or the two where either hides the other, is taken out before the
    next is looked for.

    >>> import numpy as np, pandas as pd
    >>> from scaling_jax.laws.extrapolation.suspect_rungs import suspect_rungs
    >>> from scaling_jax.laws.tables.select import usable_rows
    >>> budget = np.repeat(np.geomspace(1e18, 1e21, 6), 7)
    >>> n = np.tile(np.geomspace(0.3, 3, 7), 6) * np.sqrt(budget / 120)
    >>> d = budget / (6 * n)
    >>> table = pd.DataFrame({"params": n, "tokens": d, "budget": budget})
    >>> table["loss"] = 1.7 + 400 / n**0.34 + 410 / d**0.28
    >>> table.loc[budget == 1e18, "loss"] *= 1.03
    >>> [(rung.budget, round(rung.above, 2)) for rung in suspect_rungs(usable_rows(table))]
    [(1e+18, 0.03)]

    Args:
        rows: the usable rows of a table.

    Returns:
        None at all where fewer than 5 budgets have a minimum.
    """
    minima = budget_minima(rows)
    if not minima:
        return ()
    found = outlying(len(minima), _Trend.of(minima).compare, _LEAST_OTHERS, minima[0].degrees)
    return tuple(SuspectRung(minima[g].budget, x.above, x.spreads) for g, x in found.items())


@dataclass(frozen=True)
class _Trend:
    """Log losses of the budgets, their standard errors, and powers of log compute."""

    log_loss_G: np.ndarray
    error_G: np.ndarray
    basis_Gx3: np.ndarray

    @classmethod
    def of(cls, minima: Sequence[BudgetMinimum]) -> "_Trend":
        x_G = np.log([minimum.budget for minimum in minima])
        spread = max(float(x_G.std()), np.finfo(float).tiny)
        return cls(
            np.log([minimum.loss for minimum in minima]),
            np.array([minimum.error for minimum in minima]),
            np.vander((x_G - x_G.mean()) / spread, _CONSTANTS),
        )

    def compare(self, out: Sequence[int], others: Sequence[int]) -> list[Excess]:
        """How far the budgets `out` lie above the trend of the others."""
        weighted = self.basis_Gx3[others] / self.error_G[others, None]
        measured = self.log_loss_G[others] / self.error_G[others]
        inverse = np.linalg.pinv(weighted)
        constants_3 = inverse @ measured
        scatter = measured - weighted @ constants_3
        # Where the others scatter by more than their standard errors, all of these are too small.
        excess = max(1.0, float(scatter @ scatter) / (len(others) - _CONSTANTS))
        of_trend_G = np.sum((self.basis_Gx3 @ inverse) ** 2, axis=1)
        above_G = self.log_loss_G - self.basis_Gx3 @ constants_3
        spreads_G = above_G / np.sqrt(excess * (self.error_G**2 + of_trend_G))
        return [Excess(float(np.expm1(above_G[g])), float(spreads_G[g])) for g in out]
