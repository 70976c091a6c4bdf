"""The forecasts in a study's directory, each beside what was measured since."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws.forecasts.text import (
    forecast_cells,
    forecast_columns,
    origin,
    score_sentences,
    value_form,
)
from scaling_jax.study.store.forecasts import forecasts_of
from scaling_jax.study.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Forecast, Score


@dataclass(frozen=True)
class StudyForecast:
    """A forecast in a study's directory, and its score by the study's records.

    Attributes:
        name: of the file.
        forecast: None where the file cannot be read.
        score: None where the records cannot be compared with the forecast.
        problem: why the forecast or the score is missing; empty where both are there.
    """

    name: str
    forecast: "Forecast | None" = None
    score: "Score | None" = None
    problem: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the table."""
        if self.forecast is None:
            return ()
        return (*forecast_columns(self.forecast), "measured", "error", "inside")

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """One row per run that was forecast, measured or not."""
        if self.forecast is None:
            return ()
        scored = {run.name: run for run in (self.score.runs if self.score else ())}
        lost = self.score.not_scored if self.score else {}
        form, made = value_form(self.forecast.response), []
        for run in self.forecast.runs:
            done = scored.get(run.name)
            end = (lost.get(run.name, formatting.MISSING), formatting.MISSING, formatting.MISSING)
            if done is not None:
                inside = "yes" if done.inside_interval else "no"
                end = (form(done.measured), formatting.percent(done.error_percent), inside)
            made.append((*forecast_cells(self.forecast, run), *end))
        return tuple(made)

    @property
    def origin(self) -> str:
        """When the forecast was made, and by what."""
        return "" if self.forecast is None else origin(self.forecast)

    @property
    def sentences(self) -> Sequence[str]:
        """The totals of the score, or what is wrong with the file or the records."""
        if self.problem:
            unscored = self.forecast is not None
            return (f"Not scored: {self.problem}." if unscored else self.problem,)
        return score_sentences(self.score)[:1] if self.score and self.score.runs else ()

    def __str__(self) -> str:
        if self.forecast is None or self.problem:
            return f"{self.name}: {self.problem}"
        return (
            f"{self.name}, made {self.forecast.made} before its runs were trained:\n\n{self.score}"
        )


def study_forecasts(store: Store, records: "pd.DataFrame") -> tuple[StudyForecast, ...]:
    """Every forecast in a study's directory, scored by the study's records."""
    from scaling_jax import laws

    found = []
    for name, forecast in forecasts_of(store).items():
        if isinstance(forecast, InputError):
            found.append(StudyForecast(name, problem=str(forecast)))
            continue
        try:
            found.append(StudyForecast(name, forecast, laws.score(forecast, records)))
        except InputError as error:
            found.append(StudyForecast(name, forecast, problem=str(error)))
    return tuple(found)
