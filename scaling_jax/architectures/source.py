"""The source of a user's class, with everything in its folder that the class uses."""

import ast
import hashlib
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from scaling_jax.errors import InputError


def file_of(defined: type) -> Path:
    """The file that defines a class.

    Raises:
        InputError: the class was defined in no file, as in an interactive session.
    """
    try:
        return Path(inspect.getfile(defined)).absolute()
    except (OSError, TypeError) as error:
        raise InputError(
            f"the class {defined.__qualname__} is in no file, from which other processes could "
            "load it: define it in a Python file"
        ) from error


def source_digest(defined: type) -> str:
    """A digest that changes when the class does, or anything in its folder that the class uses.

    That is the source of the class, of functions and classes that it names, and of those that they
    name, with the numbers, texts, lists and mappings that they name, but no installed packages.
    """
    folder, parts = file_of(defined).parent, dict[str, str]()
    waiting: list[Any] = [defined]
    while waiting:
        current = waiting.pop()
        # Not by the module's name, which differs between a script and a file that is loaded.
        module = sys.modules[current.__module__]
        key = f"{Path(str(module.__file__)).stem}.{current.__qualname__}"
        if key in parts:
            continue
        parts[key] = _source(current)
        for name, value in _named(parts[key], vars(module)):
            if isinstance(value, ModuleType):
                if _is_in(value, folder):
                    parts[f"{Path(str(value.__file__)).stem}.py"] = _text(value)
            elif inspect.isclass(value) or inspect.isfunction(value):
                waiting += [value] if _is_in(sys.modules.get(value.__module__), folder) else []
            else:
                with suppress(TypeError, ValueError):
                    parts[f"{key}:{name}"] = json.dumps(value, sort_keys=True)
    text = "\n".join(f"{key}\n{parts[key]}" for key in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _source(defined: Any) -> str:
    try:
        return inspect.getsource(defined)
    except (OSError, TypeError) as error:
        raise InputError(
            f"the source of {defined.__qualname__} is not in a file, by which a run would know it: "
            "define it in a Python file"
        ) from error


def _named(source: str, names: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The global names that a source uses, with their values."""
    nodes = ast.walk(ast.parse(textwrap.dedent(source)))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    for name in sorted(used & names.keys()):
        # A function that JAX has wrapped has the user's one inside.
        yield name, inspect.unwrap(names[name]) if callable(names[name]) else names[name]


def _text(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text()


def _is_in(module: ModuleType | None, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).absolute().parent == folder
