"""The rows of a table that measure the runs of a forecast."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import PARAMS_COLUMN
from scaling_jax.laws.forecasts.freeze import NAMES, Forecast, ForecastRun, same
from scaling_jax.laws.forecasts.recipe import differing
from scaling_jax.laws.tables.check import DERIVED, as_numbers, is_blank, numbers
from scaling_jax.laws.tables.layouts import hint
from scaling_jax.laws.tables.words import DIVERGED, FINISHED, states, texts, where

if TYPE_CHECKING:
    import pandas as pd


class Records:
    """The records of a table, in which the rows of predicted runs are found."""

    def __init__(self, forecast: Forecast, frame: "pd.DataFrame", title: str) -> None:
        if forecast.response not in frame:
            raise InputError(
                f"{title} has no column {forecast.response!r}, which the forecast is of"
                f"{hint(forecast.response, frame.columns)}: it has "
                f"{', '.join(map(str, frame.columns))}"
            )
        self._forecast, self._frame, self._title = forecast, frame, title
        self._state_N = states(frame)
        self._names = [texts(frame[key]) for key in NAMES if key in frame]
        ended_N, blank_N = (
            np.isin(self._state_N, ["", FINISHED]),
            is_blank(frame[forecast.response]),
        )
        infinite_N = np.isinf(as_numbers(frame[forecast.response]))
        self._state_N[ended_N & infinite_N] = DIVERGED
        self.is_measured_N = ended_N & ~blank_N & ~infinite_N

    def measured(self, row: int) -> float:
        """The response of a row.

        Raises:
            InputError: the cell is no finite number.
        """
        one, response = self._frame.iloc[[row]], self._forecast.response
        some = np.zeros(1, bool)
        found = numbers(
            one, response, may_be_blank_N=some, may_be_signed=response != "loss", name=self._title
        )
        return float(found[0])

    def of(self, run: ForecastRun) -> int | str:
        """The row that measures the run, or why there is none.

        Raises:
            InputError: the rows are of another recipe, or several measure the run.
        """
        named_N = self._is_called(run.name)
        if is_named := bool(named_N.any()):
            rows_N = named_N
        else:
            rows_N = np.ones(len(self._frame), bool)
            for each in self._forecast.runs:
                rows_N &= ~self._is_called(each.name)
        for name, wanted in run.variables.items():
            values_N = self._column(name)
            # A row that is called as the run need not have every variable.
            alike_N = same(values_N, wanted) | (np.isnan(values_N) & is_named)
            if is_named and not (rows_N & alike_N).any():
                return f"its records have other {name}"
            rows_N = rows_N & alike_N
        if not rows_N.any():
            return "no record of it"
        done = np.flatnonzero(rows_N & self.is_measured_N)
        if not len(done):
            state = str(self._state_N[rows_N][-1])
            return f"no {self._forecast.response} yet" if state in ("", FINISHED) else state
        return self._only(run, self._of_the_recipe(run, done))

    def _is_called(self, name: str) -> np.ndarray:
        called_N = np.zeros(len(self._frame), bool)
        for names_N in self._names:
            called_N |= names_N == name
        return called_N

    def _column(self, name: str) -> np.ndarray:
        """The values of a variable, one for each row.

        NaN where the records lack the variable, but rows can be found by the name of their run.
        """
        count = self._forecast.count
        column = PARAMS_COLUMN[count] if name == "params" else name  # type: ignore[index]
        if column in self._frame:
            return as_numbers(self._frame[column])
        sources = DERIVED.get(name, ())
        if sources and set(sources).issubset(self._frame.columns):
            one_N, other_N = (self._column(source) for source in sources)
            factor = 6.0 if name == "flops" else 1.0
            derived_N: np.ndarray = factor * one_N * other_N
            return one_N / other_N if name == "tokens_per_param" else derived_N
        if not any(self._is_called(run.name).any() for run in self._forecast.runs):
            raise InputError(
                f"{self._title} has no column {column!r}, in which its rows would agree with the "
                f"forecast{hint(column, self._frame.columns)}: add it, or a run_id with the names "
                "of the forecast"
            )
        return np.full(len(self._frame), np.nan)

    def _of_the_recipe(self, run: ForecastRun, rows: np.ndarray) -> np.ndarray:
        """The rows, of those given, of the recipe that was fitted."""
        found = [differing(self._forecast.recipe, self._frame, int(row)) for row in rows]
        if all(found):
            raise InputError(
                f"{self._title}, {where(self._frame, int(rows[0]))}: run {run.name!r} was trained "
                f"by another recipe than the fitted runs ({', '.join(found[0])}): a forecast "
                "holds for one recipe only; fit runs of this recipe and forecast again"
            )
        return rows[[not each for each in found]]

    def _only(self, run: ForecastRun, rows: np.ndarray) -> int:
        if len(rows) > 1:
            places = ", ".join(where(self._frame, int(row)) for row in rows[:4])
            raise InputError(
                f"{self._title}: {len(rows)} rows measure the run {run.name!r} ({places}): keep "
                "the one that was forecast (for a sweep, the best setting), or the mean over seeds"
            )
        return int(rows[0])
