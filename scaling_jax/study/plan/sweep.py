"""Designs whose runs differ in more than size and tokens."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from scaling_jax.accounting import flops
from scaling_jax.config import Shape
from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.branched import Branched
from scaling_jax.study.plan.design import FixedModels, IsoFlop, PlannedRun
from scaling_jax.study.plan.recipe import Recipe
from scaling_jax.study.plan.variations import Variations, varied


@dataclass(frozen=True)
class ShapeGrid:
    """Given shapes, each trained on each of several numbers of tokens.

    Attributes:
        shapes: the models; the recipe's family is not asked.
        tokens: training tokens, each its own run with its own schedule.
    """

    shapes: tuple[Shape, ...]
    tokens: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.shapes or not self.tokens:
            raise InputError("a grid of shapes needs at least one shape and one number of tokens")

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """One run per shape and number of tokens; its budget is its own FLOPs."""
        for shape in dict.fromkeys(self.shapes):
            for tokens in self.tokens:
                config = recipe.for_tokens(shape, tokens)
                own = flops.training_flops(shape, config.tokens, recipe.convention)
                yield PlannedRun(config, float(own), "grid", recipe.convention)


@dataclass(frozen=True)
class Sweep:
    """The runs of another design, under each of several variations of the study's recipe.

    A sweep compares recipes, so its records are for looking at, or for fitting one variation at
    a time: a law is fitted to runs of one recipe.

    Attributes:
        design: the runs; a sweep of its own is then done under each variation of this one.
        variations: for each variation, the recipe's fields that differ by dotted path, such as
            `{"peak_lr": 1e-3, "optimizer_knobs.cycle": 2.0}`; see
            `scaling_jax.study.plan.variations`.

    Raises:
        InputError: no variations, or one of a field that recipes do not have.
    """

    design: "IsoFlop | FixedModels | ShapeGrid | Branched | Sweep"
    variations: Variations

    def __post_init__(self) -> None:
        if not self.variations:
            raise InputError("a sweep needs at least one variation of the recipe")
        fields = [f.name for f in dataclasses.fields(Recipe)]
        for name in (name for variation in self.variations for name in variation):
            if name.partition(".")[0] not in fields:
                raise InputError(f"a recipe has no field {name!r}{suggestion(name, fields)}")

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The design's runs under every variation."""
        for variation in self.variations:
            yield from self.design.runs(varied(recipe, variation))
