"""Forecasts and their scores in words and tables."""

from collections.abc import Callable
from typing import Any

from scaling_jax import formatting
from scaling_jax.laws.forecasts.freeze import Forecast, ForecastRun
from scaling_jax.laws.forecasts.score import Score
from scaling_jax.text_table import Table

FORM: dict[str, Callable[[Any], str]] = {
    "params": formatting.count,
    "tokens": formatting.count,
    "flops": formatting.flops,
}


def describe_forecast(forecast: Forecast) -> str:
    """Every predicted run with its interval, and what made the prediction."""
    return f"{forecast_table(forecast)}\n\n{origin(forecast)}"


def describe_score(score: Score) -> str:
    """Every measured run beside its prediction, then the totals and what is not scored."""
    blocks = [str(score_table(score))] if score.runs else []
    return "\n\n".join([*blocks, *score_sentences(score)])


def forecast_table(forecast: Forecast) -> Table:
    """One row per predicted run."""
    rows = [forecast_cells(forecast, run) for run in forecast.runs]
    return Table(forecast_columns(forecast), rows, left=("run",))


def forecast_columns(forecast: Forecast) -> tuple[str, ...]:
    """Names of the columns of `forecast_cells`."""
    names = (*forecast.runs[0].variables, "× largest", "predicted")
    return ("run", *names, _interval_column(forecast.level))


def forecast_cells(forecast: Forecast, run: ForecastRun) -> tuple[str, ...]:
    """A predicted run: its name and variables, how far beyond the data it is, the prediction."""
    value = value_form(forecast.response)
    return (
        run.name,
        *(_form(name)(run.variables.get(name)) for name in forecast.runs[0].variables),
        formatting.significant(run.extrapolation),
        value(run.predicted),
        formatting.interval(run.interval, value),
    )


def score_table(score: Score) -> Table:
    """One row per measured run."""
    value = value_form(score.response)
    columns = ("run", "predicted", _interval_column(score.level), "measured", "error", "inside")
    rows = [
        (
            run.name,
            value(run.predicted),
            formatting.interval(run.interval, value),
            value(run.measured),
            formatting.percent(run.error_percent),
            "yes" if run.inside_interval else "no",
        )
        for run in score.runs
    ]
    return Table(columns, rows, left=("run",))


def origin(forecast: Forecast) -> str:
    """When the forecast was made, by which fit, and of which recipe."""
    unit = f", in {forecast.unit}" if forecast.unit else ""
    known = len(forecast.recipe)
    recipe = f"{known} settings of the recipe are recorded" if known else "no recipe is recorded"
    return (
        f"Made {forecast.made} by scaling_jax {forecast.version} from the fit "
        f"{forecast.fit_sha256[:12]} (law {forecast.law}){unit}; {recipe}."
    )


def score_sentences(score: Score) -> list[str]:
    """The totals, and the runs that are not scored with the reasons."""
    found = []
    if score.runs:
        n = len(score.runs)
        inside = sum(run.inside_interval for run in score.runs)
        found.append(
            f"{n} {_runs(n)} measured: median absolute error "
            f"{formatting.percent(score.median_error_percent).lstrip('+')}, mean error "
            f"{formatting.percent(score.mean_error_percent)}; {inside} of {n} inside the "
            f"{formatting.level(score.level)} interval; mean interval score "
            f"{formatting.percent(score.interval_score_percent).lstrip('+')} of the measurement."
        )
    if score.not_scored:
        each = "; ".join(f"{name}: {why}" for name, why in score.not_scored.items())
        found.append(f"Not scored: {each}.")
    if score.n_others:
        found.append(f"{score.n_others} other {_runs(score.n_others)} in the records not forecast.")
    return found


def _interval_column(level: float) -> str:
    return f"{formatting.level(level)} interval"


def _form(name: str) -> Callable[[Any], str]:
    return FORM.get(name, formatting.significant)


def value_form(response: str) -> Callable[[Any], str]:
    """How values of a response are printed."""
    if response == "loss":
        return formatting.loss
    return lambda value: formatting.significant(value, 4)


def _runs(n: int) -> str:
    return "run" if n == 1 else "runs"
