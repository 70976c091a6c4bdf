"""Names that a package imports on first use."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from scaling_jax import laws
from scaling_jax.api import on_first_use


def for_type_checkers(package: ModuleType) -> dict[str, set[str]]:
    """The names that a package's `if TYPE_CHECKING` imports from each of its modules."""
    (block,) = (
        node
        for node in ast.parse(Path(str(package.__file__)).read_text()).body
        if isinstance(node, ast.If)
    )
    found: dict[str, set[str]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        module = str(node.module).removeprefix(f"{package.__name__}.")
        found.setdefault(module, set()).update(alias.name for alias in node.names)
    return found


def test_type_checkers_see_the_names_that_are_imported_on_first_use() -> None:
    assert {module: {*names} for module, names in laws._MODULES.items()} == for_type_checkers(laws)


def test_every_name_is_that_of_its_module() -> None:
    for module, names in laws._MODULES.items():
        for name in names:
            found = getattr(importlib.import_module(f"scaling_jax.laws.{module}"), name)
            assert getattr(laws, name) is found
    assert dir(laws) == sorted(name for names in laws._MODULES.values() for name in names)


def test_modules_of_the_package_are_reached_without_an_import_of_their_own() -> None:
    find, _ = on_first_use("scaling_jax.laws", {})
    assert find("curves") is importlib.import_module("scaling_jax.laws.curves")


@pytest.mark.parametrize("name", ["fitt", "_curves", "__path_of__"])
def test_an_unknown_name_is_no_attribute(name: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
        getattr(laws, name)
