"""Forecasts of a study and what was measured since: a table for each, and one figure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
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
from scaling_jax.report import style, svg
from scaling_jax.report.panels import Panel
from scaling_jax.system.outputs import replacing

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Forecast, Score
    from scaling_jax.study import Store

CAPTION = (
    "Each dot is a run that was forecast before it was trained; the bar is the interval of the "
    "forecast. A dot on the grey line was predicted exactly; below it, the run was worse than "
    "predicted, above it, better. "
)


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
            return (self.problem,)
        return score_sentences(self.score)[:1] if self.score and self.score.runs else ()


def study_forecasts(store: "Store", records: "pd.DataFrame") -> tuple[StudyForecast, ...]:
    """Every forecast in a study's directory, scored by the study's records."""
    from scaling_jax import laws
    from scaling_jax.study.store.forecasts import forecasts_of

    found = []
    for name, forecast in forecasts_of(store).items():
        if isinstance(forecast, InputError):
            found.append(StudyForecast(name, problem=str(forecast)))
            continue
        try:
            found.append(StudyForecast(name, forecast, laws.score(forecast, records)))
        except InputError as error:
            found.append(StudyForecast(name, forecast, problem=f"Not scored: {error}."))
    return tuple(found)


def forecast_panel(scores: "Iterable[Score]") -> Panel | None:
    """Measured against forecast values with intervals; None while nothing is measured."""
    measured = [(score, run) for score in scores for run in score.runs]
    if not measured:
        return None
    figure, axes = style.panel(4.0)
    ends = [bound for _, run in measured for bound in (*run.interval, run.measured)]
    room = 0.06 * (max(ends) - min(ends) or 0.01)
    limits = min(ends) - room, max(ends) + room
    axes.plot(limits, limits, color=style.MUTED, linewidth=1, zorder=1)
    for inside, colour, label in (
        (True, style.APPROACH_COLOURS[1], "inside the interval"),
        (False, style.ACCENT, "outside"),
    ):
        runs = [run for _, run in measured if run.inside_interval == inside]
        if not runs:
            continue
        low, high = zip(*(run.interval for run in runs), strict=True)
        predicted = [run.predicted for run in runs]
        axes.errorbar(
            [run.measured for run in runs],
            predicted,
            yerr=[
                [p - end for p, end in zip(predicted, low, strict=True)],
                [end - p for p, end in zip(predicted, high, strict=True)],
            ],
            fmt="o",
            color=colour,
            capsize=4,
            label=label,
        )
    axes.set(xlim=limits, ylim=limits)
    first = measured[0][0]
    unit = f" ({first.unit})" if first.unit else ""
    axes.set_xlabel(f"measured {first.response}{unit}")
    axes.set_ylabel(f"forecast {first.response}")
    style.legend_below(figure, axes.get_legend_handles_labels()[0], columns=2)
    return Panel("forecasts", "Forecast against measured loss", CAPTION, figure)


def draw_score(score: "Score", path: Path) -> None:
    """Draw measured against forecast values to `path`, in the format of its ending.

    Raises:
        InputError: no run is measured yet, or the file cannot be written.
    """
    with style.figure_style():
        panel = forecast_panel([score])
        if panel is None:
            raise InputError("no run of this forecast is measured yet, so there is nothing to draw")
        with replacing(path) as temporary:
            svg.save_alone(panel.figure, temporary, path.suffix)
