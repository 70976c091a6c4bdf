"""`forecast`: what a fit predicts of runs that are not trained yet, frozen with what made it."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Union

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.conventions import PARAMS_COLUMN
from scaling_jax.laws.fitted import Fit
from scaling_jax.laws.forecasts.recipe import differing
from scaling_jax.laws.law_fit import LawFit
from scaling_jax.laws.options import package_version
from scaling_jax.laws.tables.read import named_table
from scaling_jax.laws.tables.words import where

if TYPE_CHECKING:
    import pandas as pd

Runs = Union[Mapping[str, Any], "pd.DataFrame", "os.PathLike[str]", str]

# Planned and trained runs differ by the rounding to whole steps and shapes; within this share two
# numbers of parameters, tokens or FLOPs are of the same run.
SAME_RUN = 0.01
NAMES = ("run_id", "name")


@dataclass(frozen=True)
class ForecastRun:
    """The frozen prediction of one run.

    Attributes:
        name: of the run, such as its `run_id`.
        variables: what the law reads, such as params and tokens.
        predicted: the response of the law, such as the loss.
        interval: where the measurement of one run lies, at the forecast's level.
        extrapolation: FLOPs of the run over the largest fitted; NaN where a law says nothing of
            compute.
        parts: source of uncertainty -> its relative standard deviation, as `Prediction` has them.
    """

    name: str
    variables: Mapping[str, float]
    predicted: float
    interval: Interval
    extrapolation: float = math.nan
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Forecast:
    """Predictions of runs, frozen before the runs are trained, with what made them.

    Attributes:
        runs: the predicted runs.
        law: name of the fitted law.
        response: what is predicted, such as `loss`.
        unit: of the response, such as `nats per token`; empty where it is not known.
        count: which parameters N counts.
        level: of every interval.
        made: date and time in UTC, as ISO 8601 writes them.
        version: of the package.
        fit_sha256: checksum of the fit, as in its file.
        records: hash of the fitted numbers.
        recipe: hyperparameters that all fitted runs have in common, as far as their table has them.
    """

    runs: tuple[ForecastRun, ...]
    law: str
    response: str
    unit: str
    count: str
    level: float
    made: str
    version: str
    fit_sha256: str
    records: str
    recipe: Mapping[str, Any]

    def to_json(self) -> str:
        """The forecast as JSON with a checksum, which `Forecast.from_json` reads."""
        from scaling_jax.laws.forecasts.stored import to_json

        return to_json(self)

    @staticmethod
    def from_json(text: str) -> "Forecast":
        """Read what `to_json` wrote.

        Raises:
            InputError: the text is no forecast, or was changed after it was written.
        """
        from scaling_jax.laws.forecasts.stored import from_json

        return from_json(text)

    def data(self) -> dict[str, Any]:
        """The forecast as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        from scaling_jax.laws.forecasts.text import describe_forecast

        return describe_forecast(self)


def forecast(fit: Fit, runs: Runs | Iterable[Runs], *, only_beyond: bool = False) -> Forecast:
    """Freeze what a fit predicts of runs beyond its data, with the interval of each run.

    >>> from scaling_jax import laws
    >>> table = {"flops": [1e18, 4e18, 1.6e19, 6.4e19, 2.6e20]}
    >>> table["loss"] = [2.520, 2.349, 2.192, 2.046, 1.908]
    >>> fit = laws.fit(table, law="kaplan-flops", unit="nats")
    >>> made = laws.forecast(fit, {"name": "large", "flops": 1e22})
    >>> print(made.runs[0].name, round(made.runs[0].predicted, 2), made.unit)
    large 1.59 nats per token

    Args:
        fit: a law with intervals.
        runs: the variables of a run, such as `{"params": 1e9, "tokens": 2e10}` with an optional
            `name` or `run_id`; a table with one run per row (a frame, or a file that `read_table`
            reads); or several of these.
        only_beyond: leave runs inside the fitted data out instead of refusing them.

    Raises:
        InputError: no runs, or two alike; a run inside the fitted data, or all runs there; a run of
            another recipe than the fitted runs (the columns that differ are named); a variable that
            is missing, unknown or no number; a fit without intervals, or whose interval is
            unbounded.
    """
    from scaling_jax.laws.stored import sha256_of

    is_one = isinstance(runs, str | os.PathLike | Mapping) or hasattr(runs, "columns")
    if is_one or not isinstance(runs, Iterable):
        runs = [runs]  # type: ignore[list-item]
    given = [run for each in runs for run in _runs_of(fit, each)]
    if not given:
        raise InputError("no runs to forecast: give at least one, such as params=1e9,tokens=2e10")
    found = [_predicted(fit, *run) for run in given]
    made = tuple(run for run in found if not _place_inside(fit, run))
    if not made or (not only_beyond and len(made) < len(found)):
        for run in found:
            _require_beyond(fit, run)
    _require_distinct(made)
    return Forecast(
        runs=made,
        law=fit.law,
        response=fit.definition.response if isinstance(fit, LawFit) else "loss",
        unit=fit.unit,
        count=fit.count,
        level=fit.level,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=package_version(),
        fit_sha256=sha256_of(fit),
        records=str(fit.provenance.get("records", "")),
        recipe=dict(fit.provenance.get("recipe", {})),
    )


def same(value: Any, wanted: float) -> Any:
    """Whether values are of the same run as the wanted one, elementwise."""
    return abs(value - wanted) <= SAME_RUN * abs(wanted)


def _runs_of(fit: Fit, given: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What messages call each run of a mapping or a table, its name if any, and its variables."""
    if isinstance(given, Mapping):
        values = dict(given)
        names = [str(values.pop(key)) for key in NAMES if key in values]
        name = names[0] if names else ""
        yield (f"run {name!r}" if name else "a run"), name, values
        return
    frame, title = named_table(given)
    _require_same_recipe(fit, frame, title)
    count = PARAMS_COLUMN[fit.count]  # type: ignore[index]
    read = fit.definition.variables if isinstance(fit, LawFit) else ("params", "tokens")
    companions = [name for name in getattr(fit, "ranges", {}) if name in frame]
    column_of = {name: name for name in (*read, *companions)}
    if "params" in column_of:
        column_of["params"] = count
    for name, column in column_of.items():
        if column not in frame:
            raise InputError(
                f"{title} has no column {column!r}, the {name} of the law {fit.law!r}: it has "
                f"{', '.join(map(str, frame.columns))}"
            )
    key = next((key for key in NAMES if key in frame), None)
    for row in range(len(frame)):
        name = "" if key is None else str(frame[key].iloc[row])
        values = {each: frame[column].iloc[row] for each, column in column_of.items()}
        yield f"{title}, {where(frame, row)}", name, values


def _predicted(fit: Fit, label: str, name: str, given: Mapping[str, Any]) -> ForecastRun:
    try:
        values = {key: float(value) for key, value in given.items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"{label}: {error}: give numbers, such as params=1e9") from error
    try:
        made = fit.predict(**values)
    except InputError as error:
        raise InputError(f"{label}: {error}") from error
    name = name or ", ".join(f"{key} {value:.4g}" for key, value in values.items())
    if made.interval is None:
        raise InputError(
            "this fit has no intervals, and a forecast without them cannot be wrong: fit again "
            "with a bootstrap (fit --bootstrap 1000)"
        )
    if not all(map(math.isfinite, (made.value, *made.interval))):
        low, high = made.interval
        raise InputError(
            f"run {name!r}: the interval of the prediction is {low:.4g} to {high:.4g}, and a "
            "forecast that holds everything cannot be wrong: add runs to the fit, or hold constants"
        )
    parts = {key: float(value) for key, value in made.parts.items()}
    return ForecastRun(name, values, made.value, made.interval, made.extrapolation, parts)


def _place_inside(fit: Fit, run: ForecastRun) -> str:
    """Where a run lies that the fitted runs surround; empty for a run beyond the data."""
    at = dict(run.variables)
    fitted = {key: ends for key, ends in getattr(fit, "ranges", {}).items() if key in at}
    if "flops" not in at and math.isfinite(run.extrapolation):
        fitted["flops"] = fit.flops_range
        at["flops"] = run.extrapolation * fit.flops_range[1]
    # Compute is a product, of two numbers that may both differ between plan and record.
    slack = {key: SAME_RUN if key in run.variables else 3 * SAME_RUN for key in fitted}
    if not fitted or any(
        not low - slack[key] * abs(low) <= at[key] <= high + slack[key] * abs(high)
        for key, (low, high) in fitted.items()
    ):
        return ""
    return ", ".join(
        f"{key} {at[key]:.3g} of {low:.3g} to {high:.3g}" for key, (low, high) in fitted.items()
    )


def _require_beyond(fit: Fit, run: ForecastRun) -> None:
    """Refuse a run that the fitted runs surround: it would be an interpolation."""
    if place := _place_inside(fit, run):
        raise InputError(
            f"run {run.name!r} lies inside the fitted data ({place}), and a forecast is of a run "
            "beyond the data: give a larger run, or use predict"
        )


def _require_same_recipe(fit: Fit, frame: "pd.DataFrame", title: str) -> None:
    recipe = dict(fit.provenance.get("recipe", {}))
    for row in range(len(frame)):
        if found := differing(recipe, frame, row):
            raise InputError(
                f"{title}, {where(frame, row)}: the run has another recipe than the fitted runs "
                f"({', '.join(found)}), and a law says nothing of another recipe: fit runs of the "
                "recipe, or forecast runs of the fitted one"
            )


def _require_distinct(runs: tuple[ForecastRun, ...]) -> None:
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"run {name!r} is there twice: give each run once, or a name each")
