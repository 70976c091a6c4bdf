"""Groups of runs that lie above what the other groups predict: the search, whatever the groups."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# A group counts as off where noise alone would put any group of a table so far off in one table
# of fifty, and by a share of the loss that a user would act on.
_BY_CHANCE = 0.02
_LEAST_SHARE = 0.005
_MOST_AT_ONCE = 2


@dataclass(frozen=True)
class Excess:
    """How far a group lies above the others.

    Attributes:
        above: share of the loss.
        spreads: that, in standard errors of the difference.
    """

    above: float
    spreads: float


# Excess of each group that is left out, by what the others predict: (left out, others).
Compare = Callable[[Sequence[int], Sequence[int]], Sequence[Excess]]


def outlying(n_groups: int, compare: Compare, least_others: int, degrees: int) -> dict[int, Excess]:
    """The groups that lie above the others, by index.

    The group that is farthest off, or the two where either hides the other, is taken out before
    the next is looked for. A group far below the others is taken out too, but is none of these:
    left in, it would lift the groups beside it.

    >>> from scaling_jax.laws.extrapolation.outlying_groups import Excess, outlying
    >>> heights = [0.0, 0.03, 0.001, -0.001, 0.0]
    >>> def compare(out, others):
    ...     return [Excess(heights[g], heights[g] / 0.002) for g in out]
    >>> list(outlying(5, compare, least_others=3, degrees=10))
    [1]

    Args:
        n_groups: how many there are.
        compare: the excess of groups over what others predict.
        least_others: how many groups a prediction needs.
        degrees: degrees of freedom of the standard errors.
    """
    left, found = list(range(n_groups)), dict[int, Excess]()
    while chosen := _next(left, compare, least_others, degrees):
        found |= chosen
        left = [group for group in left if group not in chosen]
    return {group: excess for group, excess in sorted(found.items()) if excess.above > 0}


def _next(
    left: Sequence[int], compare: Compare, least_others: int, degrees: int
) -> dict[int, Excess]:
    from scipy.stats import t as student

    for count in range(1, _MOST_AT_ONCE + 1):
        if len(left) - count < least_others:
            return {}
        sets = list(itertools.combinations(left, count))
        found = [compare(out, [group for group in left if group not in out]) for out in sets]
        # One group may be off either way; two that hide each other must both be above.
        off = _distance if count == 1 else _least_spreads
        out, best = max(zip(sets, found, strict=True), key=lambda one: off(one[1]))
        limit = float(student.ppf(1 - _BY_CHANCE / len(sets), degrees))
        if off(best) > limit and min(abs(excess.above) for excess in best) > _LEAST_SHARE:
            return dict(zip(out, best, strict=True))
    return {}


def _distance(excesses: Sequence[Excess]) -> float:
    return abs(excesses[0].spreads)


def _least_spreads(excesses: Sequence[Excess]) -> float:
    return min(excess.spreads for excess in excesses)
