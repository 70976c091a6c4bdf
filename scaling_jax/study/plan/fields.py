"""Fields of nested frozen dataclasses by dotted path, such as `optimizer_knobs.cycle`."""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from scaling_jax.config import OptimizerConfig
from scaling_jax.config.strict import from_dict
from scaling_jax.errors import InputError, suggestion
from scaling_jax.study.plan.rules import BatchRule, ConstantBatch, ConstantLR, LearningRateRule

T = TypeVar("T")

# The rule that a plain number stands for, by the kind of rule.
CONSTANT_RULES: dict[Any, type] = {LearningRateRule: ConstantLR, BatchRule: ConstantBatch}
# For a field that holds a mapping: the dataclass whose fields are the mapping's keys.
MAPPINGS: dict[str, type] = {"optimizer_knobs": OptimizerConfig}

# Gives the new value of a field from the field's type and path.
Convert = Callable[[Any, str], Any]


def replaced(root: T, path: str, convert: Convert, where: str) -> T:
    """A copy of `root` with another value at `path`; messages call `root` by `where`.

    Raises:
        InputError: a path that names no field (the message suggests the nearest), or a value
            that the field refuses.
    """
    changed: T = _replaced(root, path.split("."), convert, where)
    return changed


def as_rule(hint: Any, value: Any, where: str) -> Any:
    """The constant rule, for a number in a field that holds a rule; otherwise `value` unchanged."""
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
    """Names and types of the fields of `holder`, a dataclass or a mapping of known keys."""
    kind = MAPPINGS.get(where.rpartition(".")[2]) if isinstance(holder, dict) else type(holder)
    if kind is None or not dataclasses.is_dataclass(kind):
        raise InputError(f"{where} is {holder!r}, which has no fields: stop the path there")
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
