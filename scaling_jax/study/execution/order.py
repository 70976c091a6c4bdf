"""The order in which the runs of a study are trained."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from scaling_jax.config import Shape
from scaling_jax.study.plan.design import PlannedRun

# A run may overtake this many others to follow a run of its shape, whose program is then compiled.
NEAR = 8


class Planned(Protocol):
    """A planned run, stored or not."""

    @property
    def planned(self) -> PlannedRun:
        """The plan."""


R = TypeVar("R", bound=Planned)


def ordered(runs: Sequence[R]) -> list[R]:
    """`runs` in an order that makes every curve of the study useful early.

    A curve is a budget's losses over sizes or, where each run has a budget of its own, a shape's
    losses over tokens. Each round trains one run of every curve, cheap curves first; within a
    curve the ends come first, then the middle, then the runs that halve the gaps, so that after
    three rounds every curve shows its minimum. The last round begins with the most expensive run,
    so that processes side by side end at about the same time.
    """
    curves = [coarse_to_fine(curve) for curve in _curves(runs)]
    rounds: list[list[R]] = []
    for curve in curves:
        for i, run in enumerate(curve):
            if i == len(rounds):
                rounds.append([])
            rounds[i].append(run)
    if len(rounds) > 1:
        rounds[-1].reverse()
    return _by_nearness([run for each in rounds for run in each])


def coarse_to_fine(items: Sequence[Any]) -> list[Any]:
    """The first, the last, the middle item, then the items that halve the remaining gaps."""
    n = len(items)
    order = list(dict.fromkeys([0, n - 1]))[:n]
    gaps = [(0, n - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [items[i] for i in order]


def _curves(runs: Sequence[R]) -> list[list[R]]:
    """Runs by curve, cheap curves first, each from its smallest run to its largest."""
    by_budget = _grouped(runs, lambda run: run.planned.budget)
    if len(by_budget) == len(runs):
        by_budget = _grouped(runs, _shape)

    def size(run: R) -> tuple:
        config = run.planned.config
        return config.tokens_per_step * config.steps, run.planned.flops, config.seed

    curves = [sorted(curve, key=size) for curve in by_budget.values()]
    return sorted(curves, key=lambda curve: max(run.planned.flops for run in curve))


def _grouped(runs: Sequence[R], key: Any) -> dict[Any, list[R]]:
    groups: dict[Any, list[R]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _by_nearness(runs: list[R]) -> list[R]:
    """The same runs, with runs of one shape moved next to each other where they were near."""
    made: list[R] = []
    left = list(reversed(runs))
    while left:
        run = left.pop()
        made.append(run)
        start = max(0, len(left) - NEAR)
        same = [other for other in left[start:] if _shape(other) == _shape(run)]
        left[start:] = [other for other in left[start:] if _shape(other) != _shape(run)]
        made += reversed(same)
    return made


def _shape(run: Planned) -> Shape:
    return run.planned.config.shape
