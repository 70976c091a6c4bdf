"""How two studies differ, field by field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MANY = 6
_MOST_NAMED = 3


@dataclass(frozen=True)
class Difference:
    """A field in which two studies differ.

    Attributes:
        field: its dotted path.
        ours, theirs: its values on the two sides as plain data; None where a side lacks the field.
    """

    field: str
    ours: Any
    theirs: Any


def differences(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], within: str = ""
) -> list[Difference]:
    """The fields in which two descriptions differ; descriptions are made by `Study.describe`.

    Args:
        ours, theirs: two descriptions, or the same part of each.
        within: path of that part, which precedes each field's path.
    """
    return list(_differences(ours, theirs, within))


def _differences(ours: Any, theirs: Any, path: str) -> Iterator[Difference]:
    if ours == theirs:
        return
    mappings = isinstance(ours, Mapping) and isinstance(theirs, Mapping)
    if not mappings or ours.get("is") != theirs.get("is"):
        yield Difference(path, ours, theirs)
        return
    for name in dict.fromkeys([*ours, *theirs]):
        inside = f"{path}.{name}" if path else name
        yield from _differences(ours.get(name), theirs.get(name), inside)


def sentence(found: Sequence[Difference]) -> str:
    """A sentence with the first few differences and the number of the others."""
    named = [
        f"{each.field} is {in_words(each.ours)} there and {in_words(each.theirs)} here"
        for each in found[:_MOST_NAMED]
    ]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return "; ".join(named + more)


def in_words(value: Any) -> str:
    """A value of a description as text on one line; long sequences are summarized."""
    if isinstance(value, Mapping):
        given = {name: item for name, item in value.items() if name != "is" and item is not None}
        fields = ", ".join(f"{name}={_inner(item)}" for name, item in given.items())
        return f"{value['is']}({fields})" if "is" in value else fields or "-"
    return _inner(value)


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['is']}(...)" if "is" in value else ", ".join(value)
    if isinstance(value, list | tuple):
        return _listed(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)


def _listed(values: Sequence[Any]) -> str:
    if not values:
        return "none"
    first = values[0]
    if isinstance(first, Mapping):
        return f"{len(values)} of {first.get('is') or ', '.join(first)}"
    if isinstance(first, list | tuple):
        return f"{len(values)} lists of {len(first)}"
    if len(values) > _MANY:
        return f"{len(values)} from {_inner(first)} to {_inner(values[-1])}"
    return "[" + ", ".join(map(_inner, values)) + "]"
