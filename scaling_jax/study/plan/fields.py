"""Fields of nested frozen dataclasses by dotted path: `optimizer_knobs.cycle` of a recipe."""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from scaling_jax.config import OptimizerConfig
from scaling_jax.config.strict import from_dict
from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.rules import BatchRule, ConstantBatch, ConstantLR, LearningRateRule

T = TypeVar("T")

# What a plain number means where a rule is wanted.
CONSTANT_RULES: dict[Any, type] = {LearningRateRule: ConstantLR, BatchRule: ConstantBatch}
# What the keys of a mapping are, by the mapping's field.
MAPPINGS: dict[str, type] = {"optimizer_knobs": OptimizerConfig}

# From the field's type and its path to the value that goes there.
Convert = Callable[[Any, str], Any]


def replaced(root: T, path: str, convert: Convert, where: str) -> T:
    """A copy of `root`, called `where` in messages, with another value at `path`.

    Raises:
        InputError: the path names nothing, with the nearest that there is, or the value does
            not do there.
    """
    return _replaced(root, path.split("."), convert, where)


def as_rule(hint: Any, value: Any, where: str) -> Any:
    """A number as the constant rule where a rule is wanted; anything else as it is."""
    rule = CONSTANT_RULES.get(hint)
    if rule is None or not isinstance(value, int | float) or isinstance(value, bool):
        return value
    (field,) = dataclasses.fields(rule)
    return from_dict(rule, {field.name: value}, where)


def _replaced(holder: Any, path: Sequence[str], convert: Convert, where: str) -> Any:
    name, *rest = path
    hints = _fields(holder, where)
    if name not in hints:
        raise InputError(f"{where} has no field {name!r}{suggestion(name, list(hints))}")
    inside = f"{where}.{name}"
    if isinstance(holder, dict):
        if rest:
            raise InputError(f"{inside} has no fields of its own: stop the path there")
        return {**holder, name: convert(hints[name], inside)}
    old = getattr(holder, name)
    new = _replaced(old, rest, convert, inside) if rest else convert(hints[name], inside)
    return dataclasses.replace(holder, **{name: new})


def _fields(holder: Any, where: str) -> dict[str, Any]:
    """What can be set in `holder`, each with its type."""
    kind = MAPPINGS.get(where.rpartition(".")[2]) if isinstance(holder, dict) else type(holder)
    if kind is None or not dataclasses.is_dataclass(kind):
        raise InputError(f"{where} is {holder!r}, which has no fields: stop the path there")
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
