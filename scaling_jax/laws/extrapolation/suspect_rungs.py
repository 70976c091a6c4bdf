"""Budgets whose best loss lies above the trend of the others, as badly tuned runs do.

Runs can only be worse than the best recipe, so a rung that is off for its tuning is off upwards;
most often the smallest rungs are, since a recipe is tuned at larger ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_jax.laws.extrapolation.budget_minima import BudgetMinimum, budget_minima
from scaling_jax.laws.tables.select import Rows

# Within a few decades of compute the frontier is a quadratic in logs to 0.1 %.
_CONSTANTS = 3
# The others must show their own scatter about it.
_LEAST_BUDGETS = _CONSTANTS + 2
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
    rung that is farthest off is taken out before the next is looked for.

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
    while len(left) > _LEAST_BUDGETS - 1:
        worst = max((_without(left, g) for g in range(len(left))), key=lambda rung: rung.spreads)
        if worst.spreads < _limit(left) or worst.above < _LEAST_SHARE:
            break
        found.append(worst)
        left = [minimum for minimum in left if minimum.budget != worst.budget]
    return tuple(sorted(found, key=lambda rung: rung.budget))


def _without(minima: Sequence[BudgetMinimum], out: int) -> SuspectRung:
    """How far the budget `out` lies above the trend of the others."""
    x_G = np.log([minimum.budget for minimum in minima])
    y_G = np.log([minimum.loss for minimum in minima])
    error_G = np.array([minimum.error for minimum in minima])
    basis_Gx3 = np.vander((x_G - x_G.mean()) / x_G.std(), _CONSTANTS)
    others_G = np.arange(len(minima)) != out
    weighted = basis_Gx3[others_G] / error_G[others_G, None]
    inverse = np.linalg.pinv(weighted)
    constants_3 = inverse @ (y_G[others_G] / error_G[others_G])
    scatter = y_G[others_G] / error_G[others_G] - weighted @ constants_3
    # Where the others scatter by more than their standard errors, all of these are too small.
    excess = max(1.0, float(scatter @ scatter) / (len(scatter) - _CONSTANTS))
    of_trend = float(np.sum((basis_Gx3[out] @ inverse) ** 2))
    above = float(y_G[out] - basis_Gx3[out] @ constants_3)
    spreads = above / np.sqrt(excess * (error_G[out] ** 2 + of_trend))
    return SuspectRung(minima[out].budget, float(np.expm1(above)), float(spreads))


def _limit(minima: Sequence[BudgetMinimum]) -> float:
    from scipy.stats import t as student

    return float(student.ppf(1 - _BY_CHANCE / len(minima), minima[0].degrees))
