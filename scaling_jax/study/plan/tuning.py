"""The sweep that tunes a ladder: which cells, which learning rates and batches, at what cost.

The cells are small shapes and short horizons of the ladder, chosen so that a power law through
their best rates is as certain as possible at the ladder's own runs (I-optimality), for at most a
share of the ladder's FLOPs.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scaling_jax.accounting.flops import count_params, training_flops
from scaling_jax.config import Shape
from scaling_jax.config.strict import number, whole_number
from scaling_jax.errors import InputError
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.plan.recipe import Recipe
from scaling_jax.study.plan.rules import ConstantBatch, ConstantLR
from scaling_jax.study.plan.study import Study

# The first runs take this share of the FLOPs that a sweep may take, so that some are left to extend
# it; then the share of these that the sweep of batches may take, and several limits for one cell.
_FIRST, _BATCHES = 0.85, 0.25
_ONE_CELL = (0.1, 0.2, 0.4, 0.6)
# How far from the ladder's own tokens per parameter a cell may lie, and into how many sizes and
# horizons the ladder's range is divided.
_BEYOND = 2.0
_MOST_SIZES = 10
# Variance of exponents before any cell is known, so that one cell can be compared with another.
_PRIOR = 1e-4
_FEWEST_CELLS = 3


@dataclass(frozen=True)
class Tuning:
    """How a ladder is tuned.

    >>> [round(rate, 4) for rate in Tuning(rates=3, spacing=2.0).around(0.01)]
    [0.005, 0.01, 0.02]

    Attributes:
        cells: number of sizes and horizons whose best rate is found.
        rates: learning rates in each cell, centred on that of the recipe's rule.
        spacing: ratio of neighbouring rates.
        batch_factors: multiples of the batch at which one of the cells is swept again; empty
            sweeps no batch.
        seeds: seeds of each run; empty takes the recipe's.
        share: most FLOPs of the sweep, extensions included, as a share of the ladder's.
        extensions: how often a cell whose lowest loss is at an end of its rates gets two more.

    Raises:
        InputError: a value outside its range.
    """

    cells: int = 5
    rates: int = 5
    spacing: float = 1.7
    batch_factors: tuple[float, ...] = (0.5, 2.0)
    seeds: tuple[int, ...] = ()
    share: float = 1 / 3
    extensions: int = 2

    def __post_init__(self) -> None:
        for name, least in (("cells", _FEWEST_CELLS), ("rates", 3), ("extensions", 0)):
            value = whole_number(name, getattr(self, name))
            if value < least:
                raise InputError(f"{name} {value} must be at least {least} to tune a ladder")
        for name, low, high in (("spacing", 1.0, 4.0), ("share", 0.0, 10.0)):
            given = number(name, getattr(self, name))
            if not low < given <= high:
                raise InputError(f"{name} {given:g} must be above {low:g} and at most {high:g}")
        if not all(0 < factor < math.inf for factor in self.batch_factors):
            raise InputError(f"batch_factors {self.batch_factors} must be positive")

    def around(self, rate: float) -> tuple[float, ...]:
        """The rates of a cell, the smallest first."""
        steps = (i - (self.rates - 1) / 2 for i in range(self.rates))
        return tuple(float(f"{rate * self.spacing**step:.6g}") for step in steps)


DEFAULT_TUNING = Tuning()


@dataclass(frozen=True)
class SweptCell:
    """A shape, a horizon and a batch, with the learning rates to train it at."""

    shape: Shape
    tokens: float
    batch_size: int
    rates: tuple[float, ...]


@dataclass(frozen=True)
class RateSweep:
    """A design that trains each cell at each of its learning rates, with each seed."""

    cells: tuple[SweptCell, ...]
    seeds: tuple[int, ...]

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The runs of every cell, whose batch and rate replace those of the recipe's rules."""
        for cell, seed in itertools.product(self.cells, self.seeds):
            own = replace(recipe, batch_size=ConstantBatch(cell.batch_size), seed=seed)
            for rate in cell.rates:
                config = replace(own, peak_lr=ConstantLR(rate)).for_tokens(cell.shape, cell.tokens)
                flops = training_flops(cell.shape, config.tokens, recipe.convention)
                yield PlannedRun(
                    config,
                    float(flops),
                    "grid",
                    recipe.convention,
                    wanted_tokens=float(cell.tokens),
                )


def tuning_study(ladder: Study, tuning: Tuning) -> Study:
    """The study of the sweep, named after the ladder.

    Raises:
        InputError: a ladder of one size or one run, or one whose share pays for too few cells.
    """
    return Study(f"{ladder.name}-tune", ladder.recipe, rate_sweep(ladder, tuning))


def rate_sweep(ladder: Study, tuning: Tuning) -> RateSweep:
    """The cells of the sweep, the cheapest first, and one of them at further batches last.

    Raises:
        InputError: as `tuning_study`.
    """
    recipe, whole = ladder.recipe, ladder_flops(ladder)
    limit = _FIRST * tuning.share * whole
    seeds = tuning.seeds or (recipe.seed,)

    def cost(shape: Shape, tokens: float) -> float:
        return training_flops(shape, round(tokens), recipe.convention) * tuning.rates * len(seeds)

    reserve = _BATCHES * limit if tuning.batch_factors else 0.0
    places = _places(ladder)
    costs = [cost(*place) for place in places]
    chosen = _chosen(_logs(places), _logs(_ladder_places(ladder)), costs, limit - reserve, tuning)
    if not chosen:
        raise InputError(
            f"{tuning.share:.0%} of the {whole:.2g} FLOPs of {ladder.name!r} do not "
            f"pay for sweeps of {_FEWEST_CELLS} cells that vary in both size and horizon: allow a "
            "larger share, or sweep fewer rates"
        )
    chosen.sort(key=lambda i: costs[i])
    cells = [_cell(recipe, *places[i], tuning) for i in chosen]
    left = limit - sum(costs[i] for i in chosen)
    for i in reversed(chosen):
        batches = _batches(_cell(recipe, *places[i], tuning), tuning)
        if batches and len(batches) * costs[i] <= left:
            cells += batches
            break
    return RateSweep(tuple(cells), seeds)


def ladder_flops(ladder: Study) -> float:
    """Training FLOPs of a ladder's own runs, without a run that tests what they predict."""
    return float(sum(run.flops_spent for run in ladder.plan() if run.role != "verification"))


def _ladder_places(ladder: Study) -> list[tuple[Shape, float]]:
    runs = [run for run in ladder.plan() if run.role == "grid"]
    return [(run.config.shape, float(run.config.tokens)) for run in runs]


def _places(ladder: Study) -> list[tuple[Shape, float]]:
    """Shapes of the ladder with horizons of its range, about as long for their size as its runs."""
    own = _ladder_places(ladder)
    by_size = {count_params(shape).active: shape for shape, _ in own}
    if len(by_size) < 2:
        raise InputError(
            f"{ladder.name!r} trains one size, so no law of its learning rate in N can be found: "
            "give a ladder of several sizes"
        )
    ratios = [tokens / count_params(shape).active for shape, tokens in own]
    low, high = min(ratios) / _BEYOND, max(ratios) * _BEYOND
    tokens = [tokens for _, tokens in own]
    horizons = np.geomspace(min(tokens), max(tokens), _MOST_SIZES)
    if max(tokens) <= min(tokens) * 1.01:
        horizons = np.array([min(tokens) / 4, min(tokens) / 2, min(tokens)])
        low = low / 4
    sizes = sorted(by_size)
    kept = sorted({round(i) for i in np.linspace(0, len(sizes) - 1, _MOST_SIZES)})
    found = []
    for size, horizon in itertools.product((sizes[i] for i in kept), map(float, horizons)):
        shape = by_size[size]
        if low <= horizon / size <= high and _trains(ladder.recipe, shape, horizon):
            found.append((shape, horizon))
    return found


def _trains(recipe: Recipe, shape: Shape, tokens: float) -> bool:
    try:
        return recipe.for_tokens(shape, tokens).steps > 2
    except InputError:
        return False


def _logs(places: Iterable[tuple[Shape, float]]) -> np.ndarray:
    return np.array([[math.log(count_params(s).active), math.log(t)] for s, t in places])


def _chosen(
    at_Nx2: np.ndarray, wanted_Lx2: np.ndarray, costs: Sequence[float], limit: float, tuning: Tuning
) -> list[int]:
    """Cells that make the law's mean variance over the ladder least; none if no set determines it.

    Several sets are made by additions, each under another limit for one cell; the best of these
    sets is improved by exchanges.
    """
    centre_2 = wanted_Lx2.mean(axis=0)
    x_Nx3, wanted_Lx3 = (
        np.column_stack([np.ones(len(logs)), logs - centre_2]) for logs in (at_Nx2, wanted_Lx2)
    )

    def variance(cells: Sequence[int]) -> float:
        information_3x3 = _PRIOR * np.eye(3) + x_Nx3[cells].T @ x_Nx3[cells]
        return float(
            np.einsum("li,ij,lj->l", wanted_Lx3, np.linalg.inv(information_3x3), wanted_Lx3).mean()
        )

    def cost(cells: Sequence[int]) -> float:
        return sum(costs[i] for i in cells)

    def extended(cells: list[int], most: float) -> list[int]:
        while len(cells) < tuning.cells:
            more = [
                [*cells, i]
                for i in range(len(x_Nx3))
                if i not in cells and costs[i] <= most and cost([*cells, i]) <= limit
            ]
            if not more:
                break
            cells = min(more, key=variance)
        return cells

    best = min((extended([], share * limit) for share in _ONE_CELL), key=variance)
    while True:
        swaps = [
            [*best[:k], i, *best[k + 1 :]]
            for k in range(len(best))
            for i in range(len(x_Nx3))
            if i not in best and cost([*best[:k], i, *best[k + 1 :]]) <= limit
        ]
        better = extended(min([best, *swaps], key=variance), limit)
        if variance(better) >= variance(best):
            break
        best = better
    determined = np.linalg.matrix_rank(x_Nx3[best], tol=1e-3) == x_Nx3.shape[1]
    return best if determined else []


def _cell(recipe: Recipe, shape: Shape, tokens: float, tuning: Tuning) -> SweptCell:
    config = recipe.for_tokens(shape, tokens)
    return SweptCell(
        shape, float(config.tokens), config.batch_size, tuning.around(config.optimizer.peak_lr)
    )


def _batches(cell: SweptCell, tuning: Tuning) -> list[SweptCell]:
    """The cell at other batches, with rates that follow the square root of the batch."""
    found = []
    for factor in tuning.batch_factors:
        batch = max(1, round(factor * cell.batch_size))
        if batch != cell.batch_size and cell.tokens >= 8 * batch * cell.shape.seq_len:
            centre = math.prod(cell.rates) ** (1 / len(cell.rates))
            rates = tuning.around(centre * math.sqrt(batch / cell.batch_size))
            found.append(replace(cell, batch_size=batch, rates=rates))
    return found
