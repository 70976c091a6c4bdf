"""Strict construction of frozen dataclasses: what is wrong with a value, said in a line."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from scaling_jax.errors import InputError, suggestion

T = TypeVar("T")

_LATER = "later"


def from_dict(cls: type[T], data: Any, path: str = "") -> T:
    """Build the dataclass `cls` from nested mappings, strictly.

    Raises:
        InputError: naming the field's path, and the nearest field name for an unknown one.
    """
    where = path or cls.__name__
    if not isinstance(data, Mapping):
        raise InputError(f"{where} must be an object, not {data!r}")
    fields = _fields(cls)  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise InputError(f"{where} has no field {key!r}{suggestion(key, list(fields))}")
    values = {}
    for name, (hint, required) in fields.items():
        if name in data:
            values[name] = _convert(hint, data[name], f"{where}.{name}")
        elif required:
            raise InputError(f"{where} lacks the field {name!r}: add it")
    return cls(**values)


def later(default: T) -> T:
    """A dataclass field that came after configurations were stored without it.

    `stored_fields` leaves it out at its default, so that what was stored keeps its identity; its
    default must never change.
    """
    return dataclasses.field(default=default, metadata={_LATER: True})


def stored_fields(value: Any) -> dict[str, Any]:
    """What identifies a dataclass: its fields by name, `later` ones unless at their defaults.

    Empty for what is not a dataclass.
    """
    names, later_defaults = _stored(type(value))  # type: ignore[arg-type]
    fields = {name: getattr(value, name) for name in names}
    for name, default in later_defaults.items():
        if fields[name] == default:
            del fields[name]
    return fields


@functools.cache
def _stored(cls: type) -> tuple[list[str], dict[str, Any]]:
    """The names of a dataclass's fields, and the defaults of its `later` ones."""
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    later_defaults = {f.name: f.default for f in fields if _LATER in f.metadata}
    return [f.name for f in fields], later_defaults


# Looking them up takes most of the time of reading a configuration.
@functools.cache
def _fields(cls: type) -> dict[str, tuple[Any, bool]]:
    """Every field's type by its name, and whether it must be given."""
    hints, missing = typing.get_type_hints(cls), dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(cls)
    }


@functools.cache
def _origin(hint: Any) -> Any:
    return typing.get_origin(hint)


def _convert(hint: Any, value: Any, path: str) -> Any:
    """Check `value` against a field's type and build nested dataclasses."""
    if type(value) is hint:
        return value
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, path)  # type: ignore[arg-type]
    if _origin(hint) is Literal:
        require_one_of(path, value, hint)
        return value
    if _origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        hint = next(t for t in typing.get_args(hint) if t is not types.NoneType)
        return _convert(hint, value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{path} must be {hint.__name__}, not {value!r}")
    return value


def settle_numbers(instance: Any) -> None:
    """Give a frozen dataclass's fields Python's numbers, of the types that it declares.

    NumPy's become Python's, and whole ones of a float field floats: equal numbers must have equal
    JSON, or the same run has two names.

    Raises:
        InputError: what is no number of that type.
    """
    for f in dataclasses.fields(instance):
        value = getattr(instance, f.name)
        settle = _SETTLE.get(f.type)
        if settle is not None and value is not None:
            object.__setattr__(instance, f.name, settle(f.name, value))


def whole_number(name: str, value: Any) -> int:
    """`value` as Python's integer (`InputError` if it is none)."""
    value = _item(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} {value!r} must be a whole number, such as 8")
    return value


def number(name: str, value: Any) -> float:
    """`value` as Python's float (`InputError` if it is no number)."""
    value = _item(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} {value!r} must be a number, such as 0.5")
    return float(value)


def _truth(name: str, value: Any) -> bool:
    value = _item(value)
    if not isinstance(value, bool):
        raise InputError(f"{name} {value!r} must be True or False")
    return value


_SETTLE: dict[Any, Callable[[str, Any], Any]] = {
    int: whole_number,
    int | None: whole_number,
    float: number,
    float | None: number,
    bool: _truth,
}


def _item(value: Any) -> Any:
    """Python's number for one of NumPy's or JAX's."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def require_positive(name: str, value: int) -> None:
    """Refuse what is not a count of at least 1 (`InputError`)."""
    if whole_number(name, value) < 1:
        raise InputError(f"{name} {value} must be at least 1")


def require_one_of(name: str, value: Any, literal: Any) -> None:
    """Refuse what is not one of a `Literal`'s values (`InputError`), with the nearest of them."""
    allowed = typing.get_args(literal)
    if value not in allowed:
        raise InputError(f"{name} is {value!r}{suggestion(value, list(allowed))}")
