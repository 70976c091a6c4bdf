"""Sweeps: a design under several variations of the recipe.

A variation maps fields of the recipe, by dotted path, to other values. `vary` makes variations of
one field, and `product`, `zipped` and `chain` combine them; all four return variations, so they
nest. A mapping gives variations names of their own.
"""

import dataclasses
import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scaling_jax.config import Shape
from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.description import stored_form
from scaling_jax.study.plan.design import Design, PlannedRun
from scaling_jax.study.plan.difference import in_words
from scaling_jax.study.plan.fields import as_rule, replaced
from scaling_jax.study.plan.recipe import Recipe

Variation = dict[str, Any]
Variations = tuple[Variation, ...]


@dataclass(frozen=True)
class Sweep:
    """The runs of a design, under each of several variations of the study's recipe.

    A sweep compares recipes. A law is fitted to runs of one recipe, so fit each variation on its
    own: `scaling-jax fit DIR --by variation`, or `laws.fit_by`.

    >>> from scaling_jax.study import FixedModels, product, vary
    >>> rates = vary("peak_lr", 1e-3, 2e-3, 4e-3)
    >>> schedules = vary("optimizer_knobs.schedule", "cosine", "wsd")
    >>> sweep = Sweep(FixedModels((1e6, 4e6), (20.0,)), product(schedules, rates))
    >>> len(sweep.variations)
    6
    >>> named = {"long": {"optimizer_knobs.cycle": 2.0}, "plain": {}}
    >>> Sweep(FixedModels((1e6,), (20.0,)), named).names
    ('long', 'plain')

    Attributes:
        design: gives the runs of each variation. It may be a sweep itself.
        variations: for each variation, the recipe's fields that differ, by dotted path, such as
            `{"peak_lr": 1e-3, "optimizer_knobs.cycle": 2.0}`; or a mapping from the name of each
            to these. Without names, a variation is named by what differs. Names are no part of a
            run's identity.

    Raises:
        InputError: no variations, a variation without a name in a mapping, or a variation of a
            field that recipes do not have.
    """

    design: Design
    variations: Variations | Mapping[str, Variation]

    def __post_init__(self) -> None:
        if not self.variations:
            raise InputError("a sweep needs at least one variation of the recipe")
        for label in self.variations if isinstance(self.variations, Mapping) else ():
            if not isinstance(label, str) or not label.strip():
                raise InputError(f"a variation is named {label!r}: name it by a text")
        fields = [f.name for f in dataclasses.fields(Recipe)]
        for name in (name for variation in self.unnamed for name in variation):
            if name.partition(".")[0] not in fields:
                raise InputError(f"a recipe has no field {name!r}{suggestion(name, fields)}")

    @property
    def unnamed(self) -> Variations:
        """The variations without their names."""
        given = self.variations
        return tuple(given.values()) if isinstance(given, Mapping) else tuple(given)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variations, which records have in the column `variation`."""
        given = self.variations
        return tuple(given) if isinstance(given, Mapping) else tuple(map(variation_name, given))

    def runs(self, recipe: Recipe) -> Iterator[PlannedRun]:
        """The design's runs under every variation of `recipe`, in the order of the variations."""
        for name, changed in zip(self.names, self.recipes(recipe), strict=True):
            for run in self.design.runs(changed):
                names = name if run.variation is None else f"{name}, {run.variation}"
                yield dataclasses.replace(run, variation=names)

    def recipes(self, recipe: Recipe) -> tuple[Recipe, ...]:
        """The recipe under every variation.

        Where whole steps of a batch miss a budget under one variation, the batch is halved under
        every variation whose rule gives that batch at that budget, so that the batch confounds no
        comparison of variations.
        """
        halvings: dict[tuple[float, int], int] | None = None
        found: dict[tuple[float, int], int] = {}
        if isinstance(recipe, _HalvedAlike):
            found = recipe.halvings
        else:
            own = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
            recipe = _HalvedAlike(**own, halvings=found)
        changed = tuple(varied(recipe, variation) for variation in self.unnamed)
        # Once no batch was halved further, every variation has trained with the same.
        while found != halvings:
            halvings = dict(found)
            for each in changed:
                deque(self.design.runs(each), maxlen=0)
        return changed


@dataclass(frozen=True)
class _HalvedAlike(Recipe):
    """A recipe that halves a budget's batch at least as far as other recipes did.

    Attributes:
        halvings: budget and batch of the rule -> the batch that the recipes use, which share this.
    """

    halvings: dict[tuple[float, int], int] = field(default_factory=dict)

    def halved(self, shapes: Sequence[Shape], batch_size: int, budget: float) -> int:
        """As of `Recipe`, and no larger than under the other recipes."""
        key = budget, batch_size
        batch = super().halved(shapes, self.halvings.get(key, batch_size), budget)
        self.halvings[key] = batch
        return batch


def vary(knob: str, *values: Any) -> Variations:
    """One variation for each value of a field, such as `peak_lr` or `optimizer_knobs.cycle`.

    A number given for a field that holds a rule becomes the constant rule.

    >>> vary("peak_lr", 1e-3, 2e-3)
    ({'peak_lr': 0.001}, {'peak_lr': 0.002})
    """
    return tuple({knob: value} for value in values)


def product(*sweeps: Variations) -> Variations:
    """Every combination of the sweeps' variations; the last sweep's values change fastest.

    >>> product(vary("seed", 0, 1), vary("peak_lr", 1e-3))
    ({'seed': 0, 'peak_lr': 0.001}, {'seed': 1, 'peak_lr': 0.001})

    Raises:
        InputError: two sweeps vary the same field.
    """
    return tuple(map(_merged, itertools.product(*sweeps)))


def zipped(*sweeps: Variations) -> Variations:
    """The first variations of all sweeps together, then the second ones, and so on.

    >>> zipped(vary("seed", 0, 1), vary("peak_lr", 1e-3, 2e-3))
    ({'seed': 0, 'peak_lr': 0.001}, {'seed': 1, 'peak_lr': 0.002})

    Raises:
        InputError: sweeps of different lengths, or two sweeps that vary the same field.
    """
    lengths = [len(sweep) for sweep in sweeps]
    if len(set(lengths)) > 1:
        raise InputError(
            f"sweeps of {' and '.join(map(str, lengths))} variations cannot be zipped: give each "
            "the same number, or use product"
        )
    return tuple(map(_merged, zip(*sweeps, strict=True)))


def chain(*sweeps: Variations) -> Variations:
    """All variations of the first sweep, then all of the second, and so on, without repeats.

    >>> chain(vary("seed", 0, 1), vary("seed", 1, 2))
    ({'seed': 0}, {'seed': 1}, {'seed': 2})
    """
    every = list(itertools.chain(*sweeps))
    return tuple(each for i, each in enumerate(every) if each not in every[:i])


def variation_name(variation: Variation) -> str:
    """A variation as the text that names it in a table of records.

    >>> variation_name({"seed": 1, "peak_lr": 1e-3})
    'seed=1, peak_lr=0.001'
    """
    values = {field: in_words(stored_form(value)) for field, value in variation.items()}
    return ", ".join(f"{field}={value}" for field, value in values.items())


def varied(recipe: Recipe, variation: Mapping[str, Any]) -> Recipe:
    """A copy of `recipe` with a variation's values in its fields.

    Raises:
        InputError: a path that names no field; the message suggests the nearest field.
    """
    for path, value in variation.items():
        recipe = replaced(recipe, path, partial(_given_value, value), "recipe")
    return recipe


def _given_value(value: Any, hint: Any, where: str) -> Any:
    return as_rule(hint, value, where)


def _merged(variations: Iterable[Variation]) -> Variation:
    together = list(variations)
    times = Counter(knob for variation in together for knob in variation)
    if twice := [knob for knob, n in times.items() if n > 1]:
        raise InputError(f"{twice[0]} is varied twice at once: chain its values, or leave one out")
    return {knob: value for variation in together for knob, value in variation.items()}
