"""Variations of a recipe: the values of a knob, and how several knobs combine.

    product(vary("parameterization", STANDARD, completep), vary("peak_lr", 1e-3, 2e-3, 4e-3))

A variation is the recipe's fields that differ, by dotted path. Each of these functions takes and
gives any number of them, so they nest.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.study.plan.fields import as_rule, replaced
from scaling_jax.study.plan.recipe import Recipe

Variation = dict[str, Any]
Variations = tuple[Variation, ...]


def vary(knob: str, *values: Any) -> Variations:
    """One variation for each value of a field, such as `peak_lr` or `optimizer_knobs.cycle`.

    Where a rule is wanted a number is the constant rule.
    """
    return tuple({knob: value} for value in values)


def product(*sweeps: Variations) -> Variations:
    """Every combination, the last sweep's values changing fastest.

    Raises:
        InputError: two sweeps of one knob.
    """
    return tuple(map(_merged, itertools.product(*sweeps)))


def zipped(*sweeps: Variations) -> Variations:
    """The first of each together, then the second of each, and so on.

    Raises:
        InputError: sweeps of different lengths, or two of one knob.
    """
    lengths = [len(sweep) for sweep in sweeps]
    if len(set(lengths)) > 1:
        raise InputError(
            f"sweeps of {' and '.join(map(str, lengths))} variations cannot be zipped: give each "
            "the same number, or use product"
        )
    return tuple(map(_merged, zip(*sweeps, strict=True)))


def chain(*sweeps: Variations) -> Variations:
    """All variations of the first, then all of the second, and so on; none twice."""
    every = list(itertools.chain(*sweeps))
    return tuple(each for i, each in enumerate(every) if each not in every[:i])


def varied(recipe: Recipe, variation: Mapping[str, Any]) -> Recipe:
    """`recipe` with the fields of a variation.

    Raises:
        InputError: a path that names nothing, with the nearest that there is.
    """
    for path, value in variation.items():
        recipe = replaced(recipe, path, partial(_as_it_is, value), "recipe")
    return recipe


def _as_it_is(value: Any, hint: Any, where: str) -> Any:
    return as_rule(hint, value, where)


def _merged(variations: Iterable[Variation]) -> Variation:
    together = list(variations)
    times = Counter(knob for variation in together for knob in variation)
    if twice := [knob for knob, n in times.items() if n > 1]:
        raise InputError(f"{twice[0]} is varied twice at once: chain its values, or leave one out")
    return {knob: value for variation in together for knob, value in variation.items()}
