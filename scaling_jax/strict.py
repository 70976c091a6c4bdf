"""Strict construction of frozen dataclasses: what is wrong with a value, said in a line."""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from scaling_jax.errors import InputError, suggestion

T = TypeVar("T")


def from_dict(cls: type[T], data: Any, path: str = "") -> T:
    """Build the dataclass `cls` from nested mappings, strictly.

    Raises:
        InputError: naming the field's path, and the nearest field name for an unknown one.
    """
    where = path or cls.__name__
    if not isinstance(data, Mapping):
        raise InputError(f"{where} must be an object, not {data!r}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = _type_hints(cls)  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise InputError(f"{where} has no field {key!r}{suggestion(key, list(fields))}")
    values = {}
    for name, f in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f"{where}.{name}")
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise InputError(f"{where} lacks the field {name!r}: add it")
    return cls(**values)


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    # Resolving them takes most of the time of reading a configuration.
    return typing.get_type_hints(cls)


def _convert(hint: Any, value: Any, path: str) -> Any:
    """Check `value` against a field's type and build nested dataclasses."""
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, path)  # type: ignore[arg-type]
    if typing.get_origin(hint) is Literal:
        require_one_of(path, value, hint)
        return value
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        hint = next(t for t in typing.get_args(hint) if t is not types.NoneType)
        return _convert(hint, value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{path} must be {hint.__name__}, not {value!r}")
    return value


def require_positive(name: str, value: int) -> None:
    """Refuse a count below 1 (`InputError`)."""
    if value < 1:
        raise InputError(f"{name} {value} must be at least 1")


def require_one_of(name: str, value: Any, literal: Any) -> None:
    """Refuse what is not one of a `Literal`'s values (`InputError`), with the nearest of them."""
    allowed = typing.get_args(literal)
    if value not in allowed:
        raise InputError(f"{name} is {value!r}{suggestion(value, list(allowed))}")
