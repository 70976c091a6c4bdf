"""Designs: which (shape, tokens) cells a study trains."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.study.plan.recipe import Recipe

Role = Literal["grid", "verification"]


@dataclass(frozen=True)
class Branch:
    """Where a run begins that shares its first steps with another.

    Attributes:
        trunk: the other's run_id.
        step: how many steps they share.
    """

    trunk: str
    step: int


@dataclass(frozen=True)
class PlannedRun:
    """One cell of a design as a complete run.

    Attributes:
        config: the run.
        budget: the FLOPs it was planned for, in the recipe's convention; kept with the run
            because it cannot be told from rounded FLOPs afterwards.
        role: `grid` runs are fitted; a `verification` run tests a prediction and never is.
        convention: how the budget's FLOPs are counted.
        branch: the run from whose checkpoint it begins; None if it begins at its first step.
    """

    config: RunConfig
    budget: float
    role: Role
    convention: flops.Convention
    branch: Branch | None = None

    @property
    def flops(self) -> int:
        """Training FLOPs of the run as it will be, in the budget's convention."""
        return flops.training_flops(self.config.shape, self.config.tokens, self.convention)

    @property
    def flops_spent(self) -> int:
        """Those of them that it takes itself: of a branch, the ones after its trunk's steps."""
        shared = self.branch.step if self.branch else 0
        return self.flops * (self.config.steps - shared) // self.config.steps


@dataclass(frozen=True)
class IsoFlop:
    """Several sizes at each of several compute budgets (Hoffmann et al. 2022, approach 2).

    Attributes:
        budgets: training FLOPs, in the recipe's convention.
        sizes: for each budget, the wanted total parameter counts.
    """

    budgets: tuple[float, ...]
    sizes: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets", _floats(self.budgets))
        object.__setattr__(self, "sizes", tuple(map(_floats, self.sizes)))
        if len(self.budgets) != len(self.sizes):
            raise InputError(
                f"{len(self.budgets)} budgets but sizes for {len(self.sizes)}: give one list each"
            )
        _require_positive("budget", self.budgets)
        _require_positive("size", list(itertools.chain(*self.sizes)))

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """One run per budget and size; sizes whose nearest shape is the same become one."""
        for budget, sizes in zip(self.budgets, self.sizes, strict=True):
            for shape in dict.fromkeys(recipe.family.nearest(size) for size in sizes):
                config = recipe.for_budget(shape, budget)
                yield PlannedRun(config, budget, "grid", recipe.convention)


def around(
    budgets: tuple[float, ...], *, params: float, at: float, exponent: float, width: float, n: int
) -> tuple[tuple[float, ...], ...]:
    """Sizes for `IsoFlop`: n of them log-spaced over `[N / width, N * width]` at each budget.

    N is the expected optimum, `params * (budget / at) ** exponent`. Centring every budget the
    same way keeps the bias of a parabola out of the exponent (Czech et al. 2026, 2603.22339).
    """
    if n < 2 or width <= 1:
        raise InputError(f"n {n} and width {width}: give at least 2 sizes and a width above 1")
    steps = [width ** (2 * i / (n - 1) - 1) for i in range(n)]
    centres = [params * (float(budget) / at) ** exponent for budget in budgets]
    return tuple(tuple(centre * step for step in steps) for centre in centres)


@dataclass(frozen=True)
class FixedModels:
    """Some models, each trained to several horizons (Hoffmann et al. 2022, approach 1).

    Attributes:
        params: wanted total parameter counts.
        tokens_per_param: horizons, each its own run with its own cosine.
    """

    params: tuple[float, ...]
    tokens_per_param: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", _floats(self.params))
        object.__setattr__(self, "tokens_per_param", _floats(self.tokens_per_param))
        _require_positive("params", self.params)
        _require_positive("tokens_per_param", self.tokens_per_param)

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """One run per model and horizon; its budget is its own FLOPs."""
        for shape in dict.fromkeys(recipe.family.nearest(size) for size in self.params):
            total = flops.count_params(shape).total
            for ratio in self.tokens_per_param:
                config = recipe.for_tokens(shape, ratio * total)
                own = flops.training_flops(shape, config.tokens, recipe.convention)
                yield PlannedRun(config, float(own), "grid", recipe.convention)


Design = IsoFlop | FixedModels


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    """Python's floats, also of an array."""
    return tuple(map(float, values))


def _require_positive(name: str, values: tuple[float, ...] | list[float]) -> None:
    if not values:
        raise InputError(f"no {name} given: give at least one")
    for value in values:
        if not 0 < value < float("inf"):
            raise InputError(f"{name} {value} must be positive and finite")
