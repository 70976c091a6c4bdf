"""Verification runs of a plan: the forecast of each is on disk before the run is trained."""

from collections.abc import Collection

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue.find import AUTO
from scaling_jax.study.plan.design import Design
from scaling_jax.study.plan.extrapolation import Extrapolation
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store.forecasts import (
    FORECAST_FILE,
    forecast_study,
    forecasts_of,
    write_forecast,
)
from scaling_jax.study.store.records import collect
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import SETTLED, StoredRun


def verification_runs(study: Study, store: Store) -> list[StoredRun]:
    """The verification runs that the study's design plans."""
    return [store.place(run) for run in study.plan() if run.role == "verification"]


def freeze_forecast(study: Study, store: Store, tests: Collection[StoredRun]) -> bool:
    """Store a forecast of the verification runs that have neither a result nor a forecast.

    The law is fitted to the finished runs of the ladder. A forecast is never replaced, so a second
    call with the same runs writes nothing.

    Args:
        study: whose design may say what is known of the floor.
        store: of the study.
        tests: the verification runs.

    Returns:
        False where another process still trains runs of the ladder, so that it is too early.

    Raises:
        InputError: the finished runs determine no law, or a stored forecast cannot be read.
    """
    known = set[str]()
    for name, forecast in forecasts_of(store).items():
        if isinstance(forecast, InputError):
            raise InputError(f"{name} in {store.directory}: {forecast}") from forecast
        known.update(each.name for each in forecast.runs)
    wanted = {run.run_id for run in tests if run.run_id not in known and run.result is None}
    if not wanted:
        return True
    records = collect(store)
    ladder = records[records["role"] != "verification"]
    if not ladder["status"].isin(SETTLED).all():
        return False
    runs = [records[records["run_id"].isin(wanted)]]
    # The average of forms, none of which is taken for exact: docs/extrapolation.md.
    made = forecast_study(store, runs, law=AUTO, prior=_known(study.design))
    path = store.directory / FORECAST_FILE
    if path.exists():
        path = path.with_name(f"forecast-{min(wanted)}.json")
    write_forecast(made, path)
    return True


def _known(design: Design) -> dict[str, tuple[float, float]] | None:
    """The prior of the law that a design states."""
    if isinstance(design, Extrapolation) and design.floor is not None:
        return {"E": design.floor}
    return None
