"""Forecasts of a study's runs: made from its records, kept in its directory, scored later."""

import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax import named_values
from scaling_jax.errors import InputError, LeftOutWarning
from scaling_jax.study.plan.named_study import load_study_named, names_study
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store.planned import planned_records
from scaling_jax.study.store.records import collect
from scaling_jax.study.store.store import Store
from scaling_jax.system import files
from scaling_jax.system.files import as_path

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit, Forecast
    from scaling_jax.laws.forecasts.freeze import Runs

PATTERN = "forecast*.json"
FORECAST_FILE = "forecast.json"
_OVER = ("finished", "diverged")
_MOST_NAMED = 4


def forecast_study(
    store: Store, runs: "Sequence[Runs | Study] | None" = None, **fitting: Any
) -> "Forecast":
    """Fit the finished runs of a study, and freeze what the fit predicts of runs to come.

    Args:
        store: the study on disk.
        runs: as `laws.forecast` takes them, or studies, of whose plans all runs beyond the data
            are forecast; by default the study's verification runs that have no result yet.
        fitting: options of `laws.fit`, such as `law`.

    Raises:
        InputError: runs that cannot be fitted or forecast, no verification run without a result,
            or a run that is measured already.
    """
    from scaling_jax import laws

    records = collect(store)
    fit = laws.fit(records, **fitting)
    over = records[records["status"].isin(_OVER)]
    if runs is None:
        tests = records[records["role"] == "verification"].drop(over.index, errors="ignore")
        if tests.empty:
            raise InputError(
                f"{store.directory} has no verification run without a result: give the runs to "
                "forecast, such as --runs params=1e9,tokens=2e10"
            )
        runs = [tests]
    made = forecast_runs(fit, runs, over["run_id"])
    for run in laws.score(made, records).runs:
        raise InputError(
            f"run {run.name!r} is measured already ({made.response} {run.measured:.4f}), and a "
            "forecast is made before its run is trained: leave the run out"
        )
    return made


def forecast_runs(
    fit: "Fit", runs: "Sequence[Runs | Study]", over: Collection[str] = ()
) -> "Forecast":
    """The forecast of runs; of a study's plan, of its runs that lie beyond the data.

    A `LeftOutWarning` names the runs of a plan that lie inside the data, or are over.

    Args:
        fit: a law with intervals.
        runs: as `laws.forecast` takes them, or studies.
        over: `run_id` of runs that have been trained.

    Raises:
        InputError: as `laws.forecast`; a plan without runs beyond the data.
    """
    from scaling_jax import laws

    plans = [_still_planned(run, over) for run in runs if isinstance(run, Study)]
    others = [run for run in runs if not isinstance(run, Study)]
    made = laws.forecast(fit, [*plans, *others], only_beyond=bool(plans))
    names = {run.name for run in made.runs}
    inside = [name for plan in plans for name in plan["run_id"] if name not in names]
    _warn(inside, "inside the fitted data, which a forecast would only interpolate")
    return made


def _still_planned(study: Study, over: Collection[str]) -> "pd.DataFrame":
    planned = planned_records(study)
    is_over = planned["run_id"].isin(list(over))
    _warn(list(planned["run_id"][is_over]), "trained already")
    return planned[~is_over]


def _warn(names: Sequence[str], why: str) -> None:
    if names:
        shown = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
        runs = "run" if len(names) == 1 else "runs"
        text = f"left out of the forecast: {len(names)} planned {runs} {why} ({shown})"
        warnings.warn(text, LeftOutWarning, stacklevel=4)


def forecast_from(
    source: os.PathLike | str,
    runs: "Sequence[Runs | Study] | None" = None,
    *,
    law: str | None = None,
) -> "Forecast":
    """A forecast by the fit in a file, or by a fit of the study in a directory.

    Args:
        source: what `Fit.to_json` wrote, or a study's directory.
        runs: as `forecast_study` takes them.
        law: to fit to a study.

    Raises:
        InputError: as `laws.forecast` and `forecast_study`; a fit without runs to forecast, or with
            another law.
    """
    from scaling_jax import laws

    # Unlike `Path.is_file`, false for a name that the file system refuses.
    if not os.path.isfile(source):  # noqa: PTH113
        return forecast_study(Store.open(source), runs, law=law)
    if law is not None:
        raise InputError(f"{source} holds a law, so --law {law} does not apply: leave it out")
    if runs is None:
        raise InputError(
            f"{source} plans no runs: give some with --runs params=1e9,tokens=2e10, or an "
            "experiment with --runs EXPERIMENT.py"
        )
    return forecast_runs(laws.Fit.read(source), runs)


def runs_in(text: str) -> "Runs | Study":
    """The runs that a text names: an experiment's study, a table's path, or a run's variables.

    >>> runs_in("params=1e9,tokens=2e10,name=large")
    {'params': 1000000000.0, 'tokens': 20000000000.0, 'name': 'large'}

    Raises:
        InputError: an experiment without a study, or variables that are not NAME=VALUE.
    """
    if names_study(text):
        return load_study_named(text)
    # Unlike `Path.is_file`, false for a name that the file system refuses.
    is_table = os.path.isfile(text)  # noqa: PTH113
    return text if is_table else named_values.values("--runs", tuple(text.split(",")))


def write_forecast(forecast: "Forecast", path: os.PathLike | str) -> None:
    """Write a forecast to a new file, which appears in one step.

    Raises:
        InputError: there is such a file already, or the file cannot be written.
    """
    file = as_path(path)
    refuse_existing(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_text_atomically(file, forecast.to_json())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def refuse_existing(path: os.PathLike | str) -> None:
    """Refuse to replace a forecast.

    Raises:
        InputError: there is such a file.
    """
    if as_path(path).exists():
        raise InputError(
            f"{path} exists, and a forecast is never replaced: give another name, or move it away"
        )


def read_forecast(path: os.PathLike | str) -> "Forecast":
    """The forecast in a file.

    Raises:
        InputError: the file cannot be read, holds no forecast, or was changed.
    """
    from scaling_jax.laws import Forecast

    try:
        return Forecast.from_json(files.read_text(as_path(path)))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(
            f"cannot read {path}: {reason}; write one with scaling-jax forecast"
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def forecasts_of(store: Store) -> "Mapping[str, Forecast | InputError]":
    """The forecasts in a study's directory, or why they cannot be read, under their file names."""
    found: dict[str, Forecast | InputError] = {}
    for path in sorted(store.directory.glob(PATTERN), key=lambda path: path.stem):
        try:
            found[path.name] = read_forecast(path)
        except InputError as error:
            found[path.name] = error
    return found
