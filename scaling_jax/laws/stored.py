"""Fits as plain data and back."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling_jax.laws.frontier_points import EnvelopeSize, FrontierPoints, Minimum, Span, Stop


def plain(value: Any) -> Any:
    """Arrays and dataclasses as lists and mappings; JSON has no infinity, so those are words."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    return value.item() if isinstance(value, np.generic) else value


def revived(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a fit from what `plain` made of them."""
    arrays = {
        name: None if data[name] is None else np.array(data[name], np.float64)
        for name in ("draws_BxP", "noise_N")
    }
    points = data["frontier_points"]
    if points is not None:
        points = FrontierPoints(**{k: np.array(v, np.float64) for k, v in points.items()})
    return {
        **data,
        **arrays,
        "minima": tuple(map(_minimum, data["minima"])),
        "sizes": tuple(map(_size, data["sizes"])),
        "frontier_points": points,
        "params": {name: float(value) for name, value in data["params"].items()},
        "diagnostics": tuple(data["diagnostics"]),
        "flops_range": tuple(data["flops_range"]),
    }


def _minimum(entry: Mapping[str, Any]) -> Minimum:
    bounds = entry["params_interval"]
    changed = {
        "quadratic": None if entry["quadratic"] is None else tuple(entry["quadratic"]),
        "params_interval": None if bounds is None else (float(bounds[0]), float(bounds[1])),
    }
    return Minimum(**{**entry, **changed})


def _size(entry: Mapping[str, Any]) -> EnvelopeSize:
    span, stop = entry["span"], entry["stop"]
    return EnvelopeSize(
        params=entry["params"],
        span=None if span is None else Span(**{name: tuple(ends) for name, ends in span.items()}),
        stop=None if stop is None else Stop(**stop),
    )
