"""Forecasts as JSON and back."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import COUNTS
from scaling_jax.laws.forecasts.freeze import Forecast, ForecastRun
from scaling_jax.laws.stored import digest, plain, sealed

FORMAT = 1

_TEXTS = (*("law", "response", "unit", "count", "made", "version", "fit_sha256", "records"),)


def to_json(forecast: Forecast) -> str:
    """The forecast as JSON with a checksum, which `from_json` reads."""
    return sealed({"forecast": FORMAT, **plain(forecast)})


def from_json(text: str) -> Forecast:
    """Read what `to_json` wrote.

    Raises:
        InputError: the text is no forecast, one of another format, or one that was changed.
    """
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or "forecast" not in data:
            raise TypeError("no object with the field 'forecast'")
        if data["forecast"] != FORMAT:
            raise InputError(
                f"this forecast has format {data['forecast']!r}, but this package reads {FORMAT}: "
                "use the package version that wrote it"
            )
        if data["sha256"] != digest(data):
            raise InputError(
                "this forecast was changed after it was written (its sha256 differs): restore the "
                "file as it was written"
            )
        return _forecast(data)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"not a forecast written by scaling_jax ({type(error).__name__}: {error}): make one "
            "with `scaling-jax forecast fit.json --out forecast.json`"
        ) from error


def _forecast(data: Mapping[str, Any]) -> Forecast:
    made = Forecast(
        **{name: str(data[name]) for name in _TEXTS},
        runs=tuple(map(_run, data["runs"])),
        level=float(data["level"]),
        recipe=dict(data["recipe"]),
    )
    datetime.fromisoformat(made.made)
    if not made.runs or not 0 < made.level < 1 or made.count not in COUNTS:
        raise ValueError(f"{len(made.runs)} runs, level {made.level}, count {made.count}")
    return made


def _run(entry: Mapping[str, Any]) -> ForecastRun:
    low, high = map(float, entry["interval"])
    run = ForecastRun(
        name=str(entry["name"]),
        variables={name: float(value) for name, value in entry["variables"].items()},
        predicted=float(entry["predicted"]),
        interval=(low, high),
        extrapolation=float(entry["extrapolation"]),
        parts={name: float(value) for name, value in entry["parts"].items()},
    )
    if not all(map(math.isfinite, (run.predicted, low, high))) or low > high:
        raise ValueError(f"run {run.name}: predicted {run.predicted}, interval {low} to {high}")
    return run
