"""Studies as plain data, which is stored as JSON and hashed."""

import dataclasses
import hashlib
import inspect
from collections.abc import Callable
from typing import Any

from scaling_jax.config.strict import stored_fields
from scaling_jax.errors import InputError


def stored_form(value: Any) -> Any:
    """`value` as JSON-ready data: dataclasses as mappings with their class's name under `is`.

    Functions are stored_form by a digest of their source. Stores keep this data and recipe hashes
    are computed from it, so the same value must be stored_form the same way in every version.

    Raises:
        InputError: an object of another kind, for which nothing says when two are equal.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {name: stored_form(field) for name, field in stored_fields(value).items()}
        return {"is": type(value).__name__, **named}
    if isinstance(value, dict):
        return {key: stored_form(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [stored_form(item) for item in value]
    if inspect.isfunction(value):
        return {"is": "function", "name": value.__qualname__, "source": _source_digest(value)}
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays.
        return value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InputError(
        f"a study is stored as JSON, and {value!r} cannot be: make it a frozen dataclass, or a "
        "function"
    )


def _source_digest(function: Callable[..., Any]) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise InputError(
            f"the source of {function.__qualname__} is not in a file, by which a study would know "
            "it: define it in a module, or make it a frozen dataclass with __call__"
        ) from error
    return hashlib.sha256(source.encode()).hexdigest()[:16]
