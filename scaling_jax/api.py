"""What `dir()` of a package lists."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any


def public_names(namespace: Mapping[str, Any]) -> list[str]:
    """The names that a package offers: neither its modules, nor names with an underscore."""
    return sorted(
        name
        for name, value in namespace.items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
        if getattr(value, "__module__", None) not in ("typing", __name__)
        if name not in ("TYPE_CHECKING",)
    )
