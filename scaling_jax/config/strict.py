"""Checks of dataclass fields, and strict construction of dataclasses from JSON objects."""

import contextlib
import dataclasses
import functools
import json
import reprlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from scaling_jax.errors import InputError, suggestion

T = TypeVar("T")

_LATER = "later"
_SAME: Any = object()

# A whole number in a file is a count or a seed; this is what programs can compute with.
_BITS = 63
_LARGEST_DIVISOR = 4096

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def parsed_json(text: str, name: str) -> Any:
    """The value that JSON text holds; messages call the text by `name`.

    Raises:
        InputError: text that is not JSON, or that is nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{name} is nested too deep") from error
    except ValueError as error:
        raise InputError(f"{name} is not JSON ({error})") from error


def from_dict(cls: type[T], data: Any, path: str = "", *, stored: bool = False) -> T:
    """An instance of the dataclass `cls` from nested mappings, converting nothing but int to float.

    A `later` field that data which were `stored` lack has the value that they were stored with.

    Raises:
        InputError: an unknown field (the message suggests the nearest name), a missing field, or
            a value of the wrong type.
    """
    where = path or cls.__name__
    if not isinstance(data, Mapping):
        raise InputError(f"{where} must be an object, not {_SHORT.repr(data)}")
    fields = _fields(cls)  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise InputError(f"{where} has no field {key!r}{suggestion(key, list(fields))}")
    values = dict(_stored(cls)[1]) if stored else {}  # type: ignore[arg-type]
    for name, (hint, required) in fields.items():
        if name in data:
            values[name] = _convert(hint, data[name], f"{where}.{name}", stored)
        elif required:
            raise InputError(f"{where} lacks the field {name!r}: add it")
    return cls(**values)


def later(default: T, *, written: T = _SAME) -> T:
    """A dataclass field that was added after configurations without it had been stored.

    `stored_fields` omits it at `default`, so that the hashes of stored configurations stay the
    same. So `default`, which is what a stored configuration without the field means, must never
    change. Where `written` is given, it is what a configuration that is written now gets instead.
    """
    value = default if written is _SAME else written
    return dataclasses.field(default=value, metadata={_LATER: default})


def stored_fields(value: Any) -> dict[str, Any]:
    """Names and values of the fields that identify a dataclass instance.

    `later` fields at their defaults are omitted. The result is empty for any other value.
    """
    names, later_defaults = _stored(type(value))  # type: ignore[arg-type]
    fields = {name: getattr(value, name) for name in names}
    for name, default in later_defaults.items():
        if fields[name] == default:
            del fields[name]
    return fields


@functools.cache
def _stored(cls: type) -> tuple[list[str], dict[str, Any]]:
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    later_defaults = {f.name: f.metadata[_LATER] for f in fields if _LATER in f.metadata}
    return [f.name for f in fields], later_defaults


# Cached, because evaluating type hints takes most of the time of reading a configuration.
@functools.cache
def _fields(cls: type) -> dict[str, tuple[Any, bool]]:
    """The type of each field, and whether the field is required."""
    hints, missing = typing.get_type_hints(cls), dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(cls)
    }


@functools.cache
def _origin(hint: Any) -> Any:
    return typing.get_origin(hint)


def _convert(hint: Any, value: Any, path: str, stored: bool) -> Any:
    if type(value) is hint:
        return whole_number(path, value) if hint is int else value
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, path, stored=stored)  # type: ignore[arg-type]
    origin, inner = _origin(hint), typing.get_args(hint)
    if origin is Literal:
        require_one_of(path, value, hint)
        return value
    if origin in (types.UnionType, typing.Union):
        return _convert_to_one_of(inner, value, path, stored)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(
            _convert(inner[0], each, f"{path}[{i}]", stored) for i, each in enumerate(value)
        )
    kind = origin or hint
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return number(path, value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{path} must be {kind.__name__}, not {_SHORT.repr(value)}")
    return value


def _convert_to_one_of(choices: Sequence[Any], value: Any, path: str, stored: bool) -> Any:
    """The value as the first of several types that takes it."""
    if value is None and types.NoneType in choices:
        return None
    *others, last = (choice for choice in choices if choice is not types.NoneType)
    for choice in others:
        with contextlib.suppress(InputError):
            return _convert(choice, value, path, stored)
    return _convert(last, value, path, stored)


def settle_numbers(instance: Any) -> None:
    """Convert the numbers in a frozen dataclass's fields to Python's types as declared.

    NumPy scalars become Python's numbers, and integers in float fields become floats. Otherwise
    equal numbers could have different JSON, and the same run two run ids.

    Raises:
        InputError: a value that is not a number of the declared type.
    """
    for f in dataclasses.fields(instance):
        value = getattr(instance, f.name)
        settle = _SETTLE.get(f.type)
        if settle is not None and value is not None:
            object.__setattr__(instance, f.name, settle(f.name, value))


def whole_number(name: str, value: Any) -> int:
    """`value` as an int.

    Raises:
        InputError: `value` is not a whole number, or is too large to compute with.
    """
    value = _item(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} {_SHORT.repr(value)} must be a whole number, such as 8")
    if value.bit_length() > _BITS:
        raise InputError(f"{name} has {value.bit_length()} bits: it must lie below 2^{_BITS}")
    return value


def number(name: str, value: Any) -> float:
    """`value` as a float.

    Raises:
        InputError: `value` is not a number, or is too large to compute with.
    """
    value = _item(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} {_SHORT.repr(value)} must be a number, such as 0.5")
    try:
        return float(value)
    except OverflowError as error:
        raise InputError(f"{name} must lie below 1.8e308, the largest number") from error


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
    # NumPy and JAX scalars become Python's numbers.
    return value.item() if getattr(value, "ndim", None) == 0 else value


def require_positive(name: str, value: int) -> None:
    """Check that a count is a whole number of at least 1.

    Raises:
        InputError: it is not.
    """
    if whole_number(name, value) < 1:
        raise InputError(f"{name} {value} must be at least 1")


def require_one_of(name: str, value: Any, literal: Any) -> None:
    """Check that `value` is one of the values of a `Literal` type.

    Raises:
        InputError: it is not; the message suggests the nearest value.
    """
    allowed = typing.get_args(literal)
    if value not in allowed:
        shown = _SHORT.repr(value)
        raise InputError(f"{name} is {shown}{suggestion(str(value)[:80], list(allowed))}")


def divisors(n: int) -> list[int]:
    """The divisors of `n` up to 4,096, for messages that list valid choices."""
    return [k for k in range(1, min(n, _LARGEST_DIVISOR) + 1) if n % k == 0]
