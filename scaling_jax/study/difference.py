"""How two studies differ, field by field."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MANY = 6
_MOST_NAMED = 3


@dataclass(frozen=True)
class Difference:
    """One field: its dotted path, and its plain value on either side (None where it has none)."""

    field: str
    ours: Any
    theirs: Any


def differences(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], within: str = ""
) -> list[Difference]:
    """The fields in which two studies described by `Study.describe` differ, or parts of them."""
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
    """The first few of the differences, and how many more there are."""
    said = [
        f"{each.field} is {in_words(each.ours)} there and {in_words(each.theirs)} here"
        for each in found[:_MOST_NAMED]
    ]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return "; ".join(said + more)


def in_words(value: Any) -> str:
    """A plain value as one would write it; a long list by its length and its ends."""
    if isinstance(value, Mapping):
        fields = [f"{name}={in_words(item)}" for name, item in value.items() if name != "is"]
        return f"{value['is']}({', '.join(fields)})" if "is" in value else ", ".join(fields) or "-"
    if isinstance(value, list):
        if len(value) > _MANY or any(isinstance(item, list | Mapping) for item in value):
            return f"{len(value)}: {in_words(value[0])} ... {in_words(value[-1])}"
        return ", ".join(map(in_words, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)
