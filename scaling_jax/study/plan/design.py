"""Designs: which shapes a study trains, and on how many tokens each."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

from scaling_jax.accounting import flops
from scaling_jax.config import Shape
from scaling_jax.config.strict import later, number
from scaling_jax.errors import InputError
from scaling_jax.shapes import Proportions, equal_shapes
from scaling_jax.shapes.table import ShapeTable
from scaling_jax.study.plan.planned_run import Branch as Branch
from scaling_jax.study.plan.planned_run import PlannedRun as PlannedRun
from scaling_jax.study.plan.planned_run import Role as Role
from scaling_jax.study.plan.recipe import Recipe
from scaling_jax.study.plan.seeds import Seeds, seeds_at, settled_seeds, with_seeds

T = TypeVar("T")


@runtime_checkable
class Design(Protocol):
    """Anything that gives the runs of a study under a recipe.

    To write a design of your own, write a frozen dataclass with this method. The dataclass's name
    and fields are stored with the study, so that two studies can be compared.
    """

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The design's runs under `recipe`; repeated runs are trained once."""


@dataclass(frozen=True)
class IsoFlop:
    """Several model sizes at each of several compute budgets (Hoffmann et al. 2022, approach 2).

    >>> design = IsoFlop(budgets=(1e18, 4e18), sizes=((1e7, 2e7, 4e7), (2e7, 4e7, 8e7)))
    >>> [len(sizes) for sizes in design.sizes]
    [3, 3]

    Attributes:
        budgets: training FLOPs, in the recipe's convention.
        sizes: for each budget, the wanted numbers of parameters, as the recipe's family counts
            them.
        seeds: how often each run is trained, with the recipe's seed and those after it: a number
            for all budgets, or one for each.

    Raises:
        InputError: no budgets or sizes, values that are not positive, or a number of size lists
            or of seeds other than the number of budgets.
    """

    budgets: tuple[float, ...]
    sizes: tuple[tuple[float, ...], ...]
    seeds: Seeds = later(1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets", _floats("budgets", self.budgets))
        sizes = [_floats("sizes", each) for each in _several("sizes", self.sizes)]
        object.__setattr__(self, "sizes", tuple(sizes))
        if len(self.budgets) != len(self.sizes):
            raise InputError(
                f"{len(self.budgets)} budgets but sizes for {len(self.sizes)}: give one list each"
            )
        _require_positive("budget", self.budgets)
        _require_positive("size", list(itertools.chain(*self.sizes)))
        seeds = settled_seeds(self.seeds, len(self.budgets), "budgets")
        object.__setattr__(self, "seeds", seeds)

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """One run per budget, size and seed; sizes with the same nearest shape become one run.

        The sizes of a budget share a batch size, unless the recipe's rule varies it with the size.
        """
        for i, (budget, sizes) in enumerate(zip(self.budgets, self.sizes, strict=True)):
            shapes = list(dict.fromkeys(recipe.family.nearest(size) for size in sizes))
            for config in recipe.at_budget(shapes, budget):
                run = PlannedRun(config, budget, "grid", recipe.convention)
                yield from with_seeds(run, seeds_at(self.seeds, i))


def around(
    budgets: tuple[float, ...], *, params: float, at: float, exponent: float, width: float, n: int
) -> tuple[tuple[float, ...], ...]:
    """Sizes for `IsoFlop`: n of them log-spaced over `[N / width, N * width]` at each budget.

    N is the expected optimum, `params * (budget / at) ** exponent`. Every budget is centred the
    same way, which keeps the bias of a parabola out of the exponent (Czech et al. 2026,
    2603.22339).

    >>> around((1e18, 4e18), params=1e7, at=1e18, exponent=0.5, width=4, n=3)
    ((2500000.0, 10000000.0, 40000000.0), (5000000.0, 20000000.0, 80000000.0))

    Raises:
        InputError: fewer than 2 sizes, or a width of at most 1.
    """
    if n < 2 or width <= 1:
        raise InputError(f"n {n} and width {width}: give at least 2 sizes and a width above 1")
    steps = [width ** (2 * i / (n - 1) - 1) for i in range(n)]
    centres = [params * (float(budget) / at) ** exponent for budget in budgets]
    return tuple(tuple(centre * step for step in steps) for centre in centres)


@dataclass(frozen=True)
class FixedModels:
    """Some models, each trained to several horizons (Hoffmann et al. 2022, approach 1).

    >>> design = FixedModels(params=(1e6, 4e6), tokens_per_param=(5, 20, 80))
    >>> design.tokens_per_param
    (5.0, 20.0, 80.0)

    Attributes:
        params: wanted numbers of parameters, as the recipe's family counts them.
        tokens_per_param: training tokens over active parameters, which one token uses (all of a
            dense model); each horizon is a run with its own schedule.
        seeds: how often each run is trained, with the recipe's seed and those after it: a number
            for all models, or one for each.

    Raises:
        InputError: no models or horizons, values that are not positive, or a number of seeds
            other than the number of models.
    """

    params: tuple[float, ...]
    tokens_per_param: tuple[float, ...]
    seeds: Seeds = later(1)

    def __post_init__(self) -> None:
        for name in ("params", "tokens_per_param"):
            object.__setattr__(self, name, _floats(name, getattr(self, name)))
        _require_positive("params", self.params)
        _require_positive("tokens_per_param", self.tokens_per_param)
        object.__setattr__(self, "seeds", settled_seeds(self.seeds, len(self.params), "models"))

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """One run per model, horizon and seed; a run's budget is its own FLOPs."""
        n_seeds = dict[Shape, int]()
        for i, size in enumerate(self.params):
            shape = recipe.family.nearest(size)
            n_seeds[shape] = max(n_seeds.get(shape, 1), seeds_at(self.seeds, i))
        for shape, n in n_seeds.items():
            params = flops.count_params(shape).active
            for ratio in self.tokens_per_param:
                yield from with_seeds(_for_tokens(recipe, shape, ratio * params), n)


@dataclass(frozen=True)
class ShapeGrid:
    """Given shapes, or shapes of equal size, each trained on each of several numbers of tokens.

    >>> from scaling_jax.config import Shape
    >>> narrow = Shape(n_layers=4, d_model=64, n_heads=4, d_ff=256, vocab_size=256, seq_len=128)
    >>> design = ShapeGrid(shapes=(narrow,), tokens=(1e6, 2e6))
    >>> design = ShapeGrid(at=(1e6, 4e6), tokens=(2e7,))

    Attributes:
        shapes: the models. The recipe's family is not used.
        tokens: training tokens; each number of tokens is a run with its own schedule.
        at: instead of `shapes`, numbers of parameters without embeddings. At each, the recipe's
            family gives shapes whose size is within 2 % of it and whose `proportions` differ one
            at a time (`scaling_jax.shapes.equal_shapes`). A run's `variation` is `base`, or the
            proportion that differs: `aspect`, `heads` or `feed-forward`.
        proportions: the values of each proportion.
        seeds: how often each run is trained, with the recipe's seed and those after it: a number
            for all, or one for each number of tokens.

    Raises:
        InputError: no shapes, both shapes and `at`, proportions without `at`, no token counts,
            or not as many seeds as token counts.
    """

    shapes: tuple[Shape, ...] = ()
    tokens: tuple[float, ...] = ()
    at: tuple[float, ...] = later(())
    proportions: Proportions | None = later(None)
    seeds: Seeds = later(1)

    def __post_init__(self) -> None:
        for name in ("tokens", "at"):
            object.__setattr__(self, name, _floats(name, getattr(self, name)))
        if not (self.shapes or self.at) or not self.tokens:
            raise InputError("a grid of shapes needs at least one shape and one number of tokens")
        if self.shapes and self.at:
            raise InputError("a grid has both shapes and at: give the shapes, or at and tokens")
        if self.proportions is not None and not self.at:
            raise InputError(
                "proportions have no effect on given shapes: leave them out, or use at"
            )
        _require_positive("tokens", self.tokens)
        if self.at:
            _require_positive("at", self.at)
        seeds = settled_seeds(self.seeds, len(self.tokens), "numbers of tokens")
        object.__setattr__(self, "seeds", seeds)

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """One run per shape, number of tokens and seed; a run's budget is its own FLOPs."""
        for shape in dict.fromkeys(self.shapes):
            yield from self._of_shape(recipe, shape)
        for params in self.at:
            yield from self._of_equal_size(recipe, params)

    def _of_equal_size(self, recipe: Recipe, params: float) -> Iterator[PlannedRun]:
        if isinstance(recipe.family, ShapeTable):
            raise InputError("shapes of equal size come from a Family, not a table of shapes")
        found = equal_shapes(params, recipe.family, self.proportions or Proportions())
        for series, shapes in found.items():
            for run in itertools.chain(*(self._of_shape(recipe, shape) for shape in shapes)):
                yield replace(run, variation=series)

    def _of_shape(self, recipe: Recipe, shape: Shape) -> Iterator[PlannedRun]:
        for i, tokens in enumerate(self.tokens):
            yield from with_seeds(_for_tokens(recipe, shape, tokens), seeds_at(self.seeds, i))


def _for_tokens(recipe: Recipe, shape: Shape, tokens: float) -> PlannedRun:
    config = recipe.for_tokens(shape, tokens)
    own = flops.training_flops(shape, config.tokens, recipe.convention)
    return PlannedRun(config, float(own), "grid", recipe.convention, wanted_tokens=float(tokens))


def _floats(name: str, values: Iterable[float]) -> tuple[float, ...]:
    """Python's floats, also from an array, so that equal designs are stored as equal text."""
    return tuple(number(name, value) for value in _several(name, values))


def _several(name: str, values: Iterable[T]) -> tuple[T, ...]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise InputError(f"{name} {values!r} must be several numbers, such as (1e6, 4e6)")
    return tuple(values)


def _require_positive(name: str, values: tuple[float, ...] | list[float]) -> None:
    if not values:
        raise InputError(f"no {name} given: give at least one")
    for value in values:
        if not 0 < value < float("inf"):
            raise InputError(f"{name} {value} must be positive and finite")
