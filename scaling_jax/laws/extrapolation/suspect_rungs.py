"""Budgets whose best loss lies above the trend of the others, as badly tuned runs do.

Runs can only be worse than the best recipe, so a rung that is off for its tuning is off upwards;
most often the smallest rungs are, since a recipe is tuned at larger ones.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.extrapolation.budget_minima import BudgetMinimum, budget_minima
from scaling_jax.laws.tables.select import Rows

# Within a few decades of compute the frontier is a quadratic in logs to 0.1 %.
_CONSTANTS = 3
# The others must show their own scatter about it.
_LEAST_OTHERS = _CONSTANTS + 1
_MOST_AT_ONCE = 2
# A rung counts as off where noise alone would put any rung of a table so far off in one table of
# fifty, and by a share of the loss that a user would act on.
_BY_CHANCE = 0.02
_LEAST_SHARE = 0.005


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
    left, found = list(budget_minima(rows)), []
    while suspects := _next(left):
        found += suspects
        budgets = [rung.budget for rung in suspects]
        left = [minimum for minimum in left if minimum.budget not in budgets]
    return tuple(sorted(found, key=lambda rung: rung.budget))


def _next(minima: Sequence[BudgetMinimum]) -> list[SuspectRung]:
    """One rung that is off, or two where either hides the other; of several, the farthest off."""
    for count in range(1, _MOST_AT_ONCE + 1):
        if len(minima) - count < _LEAST_OTHERS:
            return []
        sets = list(itertools.combinations(range(len(minima)), count))
        limit = _limit(minima, len(sets))
        best = max((_without(minima, out) for out in sets), key=_least_spreads)
        if _least_spreads(best) > limit and min(rung.above for rung in best) > _LEAST_SHARE:
            return best
    return []


def _least_spreads(rungs: Sequence[SuspectRung]) -> float:
    return min(rung.spreads for rung in rungs)


def _without(minima: Sequence[BudgetMinimum], out: Sequence[int]) -> list[SuspectRung]:
    """How far the rungs `out` lie above the trend of the others."""
    x_G = np.log([minimum.budget for minimum in minima])
    y_G = np.log([minimum.loss for minimum in minima])
    error_G = np.array([minimum.error for minimum in minima])
    basis_Gx3 = np.vander((x_G - x_G.mean()) / x_G.std(), _CONSTANTS)
    others = np.delete(np.arange(len(minima)), out)
    weighted = basis_Gx3[others] / error_G[others, None]
    inverse = np.linalg.pinv(weighted)
    constants_3 = inverse @ (y_G[others] / error_G[others])
    scatter = y_G[others] / error_G[others] - weighted @ constants_3
    # Where the others scatter by more than their standard errors, all of these are too small.
    excess = max(1.0, float(scatter @ scatter) / (len(others) - _CONSTANTS))
    of_trend_G = np.sum((basis_Gx3 @ inverse) ** 2, axis=1)
    above_G = y_G - basis_Gx3 @ constants_3
    spreads_G = above_G / np.sqrt(excess * (error_G**2 + of_trend_G))
    return [
        SuspectRung(minima[g].budget, float(np.expm1(above_G[g])), float(spreads_G[g])) for g in out
    ]


def _limit(minima: Sequence[BudgetMinimum], looks: int) -> float:
    from scipy.stats import t as student

    return float(student.ppf(1 - _BY_CHANCE / looks, minima[0].degrees))
