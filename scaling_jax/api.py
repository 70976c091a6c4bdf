"""What a package offers: the names that `dir()` lists, and names that are imported on first use."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
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


def on_first_use(
    package: str, names: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`, which import a module once a name of it is used.

    Modules of the package are attributes too, as if they had been imported.

    Args:
        package: name of the package.
        names: the names that the package offers, by the module that has them, relative to it.
    """
    module_of = {name: module for module, several in names.items() for name in several}

    def getattribute(name: str) -> Any:
        if name in module_of:
            value = getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)
            # The next use finds the name in the package itself.
            setattr(sys.modules[package], name, value)
            return value
        if not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}"):
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return getattribute, lambda: sorted(module_of)
