"""`score`: a forecast beside what was measured later."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.allocation import Interval
from scaling_jax.laws.forecasts.freeze import Forecast, ForecastRun
from scaling_jax.laws.forecasts.matching import Records
from scaling_jax.laws.tables.layouts import loss_unit
from scaling_jax.laws.tables.read import Table, named_table
from scaling_jax.laws.tables.words import where

if TYPE_CHECKING:
    import pandas as pd

TOTALS = ("median_error_percent", "mean_error_percent", "coverage", "interval_score_percent")


@dataclass(frozen=True)
class ScoredRun:
    """One predicted run that was measured.

    Attributes:
        name: of the run in the forecast.
        variables: what the law reads, such as params and tokens.
        predicted, interval: of the forecast.
        measured: of the records, in the same unit.
        error_percent: measured over predicted, less one.
        inside_interval: whether the measurement lies in the interval.
        interval_score_percent: the interval's width, and 2 / (1 - level) times the distance by
            which it misses, as a share of the measurement (Gneiting and Raftery 2007, equation
            43); smaller is better.
    """

    name: str
    variables: Mapping[str, float]
    predicted: float
    interval: Interval
    measured: float
    error_percent: float
    inside_interval: bool
    interval_score_percent: float


@dataclass(frozen=True)
class Score:
    """How a forecast compares with what was measured; figures are NaN while nothing is.

    Attributes:
        runs: the runs that were measured.
        not_scored: name of every other run of the forecast -> the reason, such as `diverged`.
        n_others: finished runs of the records that the forecast says nothing about.
        level: of the intervals.
        response: what was predicted, such as `loss`.
        unit: of the response; empty where it is not known.
    """

    runs: tuple[ScoredRun, ...]
    not_scored: Mapping[str, str]
    n_others: int
    level: float
    response: str
    unit: str

    @property
    def median_error_percent(self) -> float:
        """Median of the absolute errors."""
        return float(np.median(np.abs(self._errors_R))) if self.runs else math.nan

    @property
    def mean_error_percent(self) -> float:
        """Mean of the signed errors: negative where measurements lie below predictions."""
        return float(self._errors_R.mean()) if self.runs else math.nan

    @property
    def coverage(self) -> float:
        """Share of the measurements that lie in their interval; `level` is what it should be."""
        inside = [run.inside_interval for run in self.runs]
        return float(np.mean(inside)) if inside else math.nan

    @property
    def interval_score_percent(self) -> float:
        """Mean interval score."""
        scores = [run.interval_score_percent for run in self.runs]
        return float(np.mean(scores)) if scores else math.nan

    def data(self) -> dict[str, Any]:
        """The score as plain data, with its totals."""
        return {
            "n": len(self.runs),
            **{name: getattr(self, name) for name in TOTALS},
            **asdict(self),
        }

    @property
    def _errors_R(self) -> np.ndarray:
        return np.array([run.error_percent for run in self.runs])

    def __str__(self) -> str:
        from scaling_jax.laws.forecasts.text import describe_score

        return describe_score(self)


def score(
    forecast: Forecast,
    records: Table,
    *,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Score:
    """Compare a forecast with the measurements of its runs.

    A row of the records is of a predicted run where its `run_id` or `name` is the run's name, or
    else where the variables agree within 1 %.

    >>> from scaling_jax import laws
    >>> table = {"flops": [1e18, 4e18, 1.6e19, 6.4e19, 2.6e20]}
    >>> table["loss"] = [2.520, 2.349, 2.192, 2.046, 1.908]
    >>> made = laws.forecast(laws.fit(table, law="kaplan-flops"), {"flops": 1e22})
    >>> found = laws.score(made, {"flops": [1e22], "loss": [1.60]})
    >>> round(found.runs[0].error_percent, 1), found.coverage
    (0.7, 0.0)

    Args:
        forecast: made before the runs were trained.
        records: losses, one row per run, as `fit` takes them.
        columns: our name -> the table's, such as `{"params": "n_params"}`.
        unit: of the measured loss; by default what the table says.

    Raises:
        InputError: records that cannot be read, of another unit or of another recipe (the columns
            that differ are named), or with several measurements of one run.
    """
    frame, title = named_table(records, columns)
    _require_same_unit(forecast, frame, title, unit)
    table = Records(forecast, frame, title)
    found = {run.name: table.of(run) for run in forecast.runs}
    rows = {name: row for name, row in found.items() if isinstance(row, int)}
    _require_one_each(rows, frame, title)
    return Score(
        runs=tuple(
            _scored(run, table.measured(rows[run.name]), forecast.level)
            for run in forecast.runs
            if run.name in rows
        ),
        not_scored={name: why for name, why in found.items() if isinstance(why, str)},
        n_others=int(table.is_measured_N.sum()) - len(set(rows.values())),
        level=forecast.level,
        response=forecast.response,
        unit=forecast.unit,
    )


def _require_one_each(rows: Mapping[str, int], frame: "pd.DataFrame", title: str) -> None:
    """Refuse a measurement that two predicted runs would share."""
    first: dict[int, str] = {}
    for name, row in rows.items():
        if row in first:
            raise InputError(
                f"{title}, {where(frame, row)} would measure both {first[row]!r} and {name!r}, "
                "which are alike: give the records a run_id with the names of the forecast"
            )
        first[row] = name


def _require_same_unit(
    forecast: Forecast, frame: "pd.DataFrame", title: str, unit: str | None
) -> None:
    measured = loss_unit(frame, unit)
    if forecast.unit and measured and measured != forecast.unit:
        raise InputError(
            f"{title} is in {measured}, and the forecast in {forecast.unit}: give records in "
            f"{forecast.unit}"
        )


def _scored(run: ForecastRun, measured: float, level: float) -> ScoredRun:
    low, high = run.interval
    miss = max(low - measured, measured - high, 0.0)
    return ScoredRun(
        name=run.name,
        variables=run.variables,
        predicted=run.predicted,
        interval=run.interval,
        measured=measured,
        error_percent=100 * (measured / run.predicted - 1),
        inside_interval=miss == 0,
        interval_score_percent=100 * (high - low + 2 / (1 - level) * miss) / abs(measured),
    )
