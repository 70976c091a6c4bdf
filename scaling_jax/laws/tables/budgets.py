"""Which runs of a table share a budget, where it does not say."""

import numpy as np

# Rows of one budget lie this close together in FLOPs, and budgets farther apart than that.
_BUDGET_GAP = 1.15
_BUDGET_SPREAD = 1.35


def infer_budgets(flops: np.ndarray) -> np.ndarray | None:
    """Group rows of nearly equal FLOPs and name each group by its geometric mean.

    None where they do not fall into groups: a gap of at least 15 % between groups, and no group
    wider than 35 %.
    """
    order = np.argsort(flops)
    logs = np.log(flops[order])
    group = np.concatenate([[0], np.cumsum(np.diff(logs) > np.log(_BUDGET_GAP))])
    budgets = np.empty_like(flops)
    for g in range(group[-1] + 1):
        members = logs[group == g]
        if members[-1] - members[0] > np.log(_BUDGET_SPREAD):
            return None
        budgets[order[group == g]] = np.exp(members.mean())
    return budgets
