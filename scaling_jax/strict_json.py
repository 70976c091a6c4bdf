"""JSON without NaN and infinities."""

import json
import math
from collections.abc import Mapping
from typing import Any


def strict_json(value: Any) -> str:
    """Strict JSON, in which numbers that are not finite are null.

    >>> print(strict_json({"loss": float("nan")}))
    {
     "loss": null
    }
    """
    return json.dumps(_finite(value), indent=1, allow_nan=False, default=_python_number)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _python_number(value: Any) -> Any:
    """Python's number for one of NumPy's."""
    return _finite(value.item())
