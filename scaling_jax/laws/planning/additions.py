"""What to add to a design before it is trained: which runs narrow the answer most for their FLOPs.

`next_runs` chooses among the cells of a plan after a first fit. Here the plan itself is in
question, so the candidates are kinds of runs: another budget or size at either end, the ends of an
L of sizes and horizons, more sizes, and seeds.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.planning.design_checks import score
from scaling_jax.laws.planning.design_score import Cells, DesignScore

# Runs whose budgets differ by less are of one budget.
_SAME_BUDGET = 0.02
# An end of an L has at most this many times more, or fewer, tokens per parameter than any run.
_FARTHEST = 4.0
# Half-widths above this are of answers that a design does not determine at all.
_UNKNOWN = 1e9


@dataclass(frozen=True)
class Addition:
    """Runs that could be added to a design.

    Attributes:
        name: what they are, in words.
        params_K, tokens_K, budget_K: size, tokens and planned FLOPs of every run.
        fixed: what a recipe must keep where it rounds a run: its budget or its tokens. `plan` are
            the runs of the design itself, with another seed.
    """

    name: str
    params_K: np.ndarray
    tokens_K: np.ndarray
    budget_K: np.ndarray
    fixed: Literal["budget", "tokens", "plan"]


@dataclass(frozen=True)
class Trained:
    """An addition as a recipe can train it.

    Attributes:
        params_K, tokens_K: of every run, after rounding to shapes and whole steps.
        budget_K: FLOPs that each run was planned for.
        flops: of all runs together.
        price: of all runs together; None where no price is known.
    """

    params_K: np.ndarray
    tokens_K: np.ndarray
    budget_K: np.ndarray
    flops: float
    price: float | None = None


@dataclass(frozen=True)
class Proposal:
    """An addition, its cost, and what the design with it is expected to find out.

    Attributes:
        name: of the addition.
        n_runs: how many runs it has.
        flops, price: of all its runs.
        score: of the design with them.
        gain: by how much it lowers the logarithm of the half-width of the expected interval of the
            loss (noise and form together), per FLOP.
    """

    name: str
    n_runs: int
    flops: float
    price: float | None
    score: DesignScore
    gain: float


def as_planned(addition: Addition) -> Trained:
    """The addition exactly as wanted, at 6 N D FLOPs a run."""
    flops = FLOPS_PER_PARAM_TOKEN * float(addition.params_K @ addition.tokens_K)
    return Trained(addition.params_K, addition.tokens_K, addition.budget_K, flops)


def propose(
    before: DesignScore, trained: Callable[[Addition], Trained | None] = as_planned
) -> list[Proposal]:
    """What could be added to a design, ordered by how much it narrows the loss per FLOP.

    >>> import numpy as np
    >>> from scaling_jax.laws.planning.additions import propose
    >>> from scaling_jax.laws.planning.design_checks import Cells, score
    >>> params = np.geomspace(1e8, 1e10, 12)
    >>> propose(score(Cells.of(params, 20 * params)))[0].name
    'the smallest size on more tokens'

    Args:
        before: the design's score; additions are scored at the same target, law and noise.
        trained: turns an addition into runs that can be trained, with their cost; None for an
            addition that cannot.
    """
    found = []
    for addition in additions(before):
        if (runs := trained(addition)) is None or not len(runs.params_K):
            continue
        cells = before.cells
        together = Cells(
            np.concatenate([cells.params_N, runs.params_K]),
            np.concatenate([cells.tokens_N, runs.tokens_K]),
            np.concatenate([cells.budget_N, runs.budget_K]),
        )
        after = score(
            together, before.law, noise=before.noise, level=before.level, target=before.target
        )
        narrowed = math.log(_width(before) / _width(after))
        found.append(
            Proposal(
                addition.name,
                len(runs.params_K),
                runs.flops,
                runs.price,
                after,
                narrowed / runs.flops,
            )
        )
    return sorted(found, key=lambda proposal: -proposal.gain)


def _width(score: DesignScore) -> float:
    return min(score.doubts["loss"].total, _UNKNOWN)


def additions(before: DesignScore) -> Iterator[Addition]:
    """The candidates for a design."""
    cells = before.cells
    groups = _budgets(cells)
    of_budgets = len(groups) > 1 and np.median([len(group) for group in groups]) > 1
    if of_budgets:
        yield from _more_budgets(before, groups)
        yield _wider(cells, groups)
    else:
        yield from _more_sizes(before)
    yield from _ends_of_an_l(cells)
    runs = (cells.params_N, cells.tokens_N, cells.budget_N)
    yield Addition("a second seed of every run", *runs, fixed="plan")


def _budgets(cells: Cells) -> list[np.ndarray]:
    """Indices of the runs of every budget, smallest first."""
    order = np.argsort(cells.budget_N, kind="stable")
    breaks = np.diff(np.log(cells.budget_N[order])) > _SAME_BUDGET
    return np.split(order, np.flatnonzero(breaks) + 1)


def _more_budgets(before: DesignScore, groups: list[np.ndarray]) -> Iterator[Addition]:
    """One more budget at either end, with the sizes of its neighbour moved as the optimum moves."""
    cells = before.cells
    ratio = before.span ** (1 / (len(groups) - 1))
    for name, group, factor in (("below", groups[0], 1 / ratio), ("above", groups[-1], ratio)):
        budget = float(cells.budget_N[group].mean()) * factor
        if budget < before.target.flops:
            n_runs = len(group)
            params_K = cells.params_N[group] * factor ** before.law.exponents["a"]
            tokens_K = cells.tokens_N[group] * factor ** before.law.exponents["b"]
            where = f"one more budget {name}, {budget:.3g} FLOPs"
            yield Addition(where, params_K, tokens_K, np.full(n_runs, budget), fixed="budget")


def _more_sizes(before: DesignScore) -> Iterator[Addition]:
    """One more size at either end, at the tokens per parameter of its neighbour."""
    cells = before.cells
    sizes = np.unique(cells.params_N)
    ratio = (sizes[-1] / sizes[0]) ** (1 / (len(sizes) - 1))
    for name, size, factor in (("smaller", sizes[0], 1 / ratio), ("larger", sizes[-1], ratio)):
        group = cells.params_N == size
        if cells.budget_N[group].max() * factor**2 < before.target.flops:
            yield _at(
                f"one {name} size, {size * factor:.3g} parameters",
                cells.params_N[group] * factor,
                cells.tokens_N[group] * factor,
            )


def _wider(cells: Cells, groups: list[np.ndarray]) -> Addition:
    """A smaller and a larger size at every budget, at the spacing of its sizes."""
    params, budgets = [], []
    for group in groups:
        sizes = np.unique(cells.params_N[group])
        step = (sizes[-1] / sizes[0]) ** (1 / max(1, len(sizes) - 1))
        if step > 1:
            params += [sizes[0] / step, sizes[-1] * step]
            budgets += 2 * [float(cells.budget_N[group].mean())]
    params_K, budget_K = np.array(params), np.array(budgets)
    # The product N D of a budget, in whatever way it counts its FLOPs.
    product_K = np.repeat(
        [np.exp(np.log(cells.params_N[g] * cells.tokens_N[g]).mean()) for g in groups],
        [2 * (len(np.unique(cells.params_N[g])) > 1) for g in groups],
    )
    name = "a smaller and a larger size at every budget"
    return Addition(name, params_K, product_K / params_K, budget_K, fixed="budget")


def _ends_of_an_l(cells: Cells) -> Iterator[Addition]:
    """The largest size on few tokens and the smallest on many, as Videau et al. 2026's L."""
    ratio_N = cells.tokens_N / cells.params_N
    smallest, largest = cells.params_N.min(), cells.params_N.max()
    few = max(cells.tokens_N.min(), largest * ratio_N.min() / _FARTHEST)
    many = min(cells.tokens_N.max(), smallest * ratio_N.max() * _FARTHEST)
    has_few = few < 0.9 * cells.tokens_N[cells.params_N == largest].min()
    has_many = many > 1.1 * cells.tokens_N[cells.params_N == smallest].max()
    short = np.array([largest]), np.array([few])
    long = np.array([smallest]), np.array([many])
    if has_few:
        yield _at("the largest size on fewer tokens", *short)
    if has_many:
        yield _at("the smallest size on more tokens", *long)
    if has_few and has_many:
        pairs = zip(short, long, strict=True)
        yield _at("both ends of an L", *(np.concatenate(pair) for pair in pairs))


def _at(name: str, params_K: np.ndarray, tokens_K: np.ndarray) -> Addition:
    budget_K = FLOPS_PER_PARAM_TOKEN * params_K * tokens_K
    return Addition(name, params_K, tokens_K, budget_K, fixed="tokens")
