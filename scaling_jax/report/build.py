"""Read a store and fit its runs: the content of a report."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import DRAWS
from scaling_jax.report.content import ReportData, Verification, params_of
from scaling_jax.report.experiments.table import own_answer
from scaling_jax.report.under_way import under_way
from scaling_jax.study import Store, collect, curves
from scaling_jax.study.status.standing import StudyMonitor
from scaling_jax.study.status.study_forecasts import StudyForecast, study_forecasts
from scaling_jax.study.store.command import recorded_command

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Comparison, Fit
    from scaling_jax.runs.result import Result


def build_report(
    store: Store,
    *,
    target_flops: float | None = None,
    law: str = "chinchilla",
    bootstrap: int = DRAWS,
    seed: int = 0,
    commands: Sequence[str] | None = None,
    compared: "Comparison | None" = None,
) -> ReportData:
    """The content of the report on `store`, with each of the three approaches that its runs allow.

    Args:
        store: the study on disk.
        target_flops: the budget whose optimum the report shows; by default the FLOPs of the
            verification run, or without one, ten times the largest budget.
        law: the law that approach 3 fits.
        bootstrap: number of resamples.
        seed: seed of the bootstrap.
        commands: the commands that made the store, if they were not `run`, `fit` and `report`.
        compared: fits of the finished runs that were made before; by default the runs are fitted.

    Raises:
        InputError: a store without runs, or a target that is not positive and finite.
    """
    records = collect(store)
    if records.empty:
        raise InputError(f"{store.directory} holds no runs: nothing to report")
    if compared is None:
        compared = compare_finished(store, law=law, bootstrap=bootstrap, seed=seed)
    standing = StudyMonitor(store).look()
    forecasts = study_forecasts(store, records)
    verification = _as_forecast(verify(records, compared.fits.get(3)), forecasts)
    target = target_flops if target_flops is not None else _target(records, verification)
    if not 0 < target < math.inf:
        raise InputError(f"the target of {target} FLOPs must be positive and finite")
    results = [run.result for run in store.runs()]
    known = [result for result in results if result is not None]
    return ReportData(
        title=str(store.study["name"]),
        records=records,
        curves=curves(store, unfinished=True),
        fits=compared.fits,
        target_flops=target,
        verification=verification,
        recipe=flat(store.study["recipe"]),
        commands=tuple(commands) if commands is not None else _commands(store, target_flops, law),
        provenance=_provenance(known),
        seconds=_seconds(known),
        refused=compared.refused,
        forecasts=forecasts,
        # A page of a study at work is written often, and some analyses take a minute.
        own=own_answer(store) if standing.seconds_left == 0 else None,
        under_way=None if standing.seconds_left == 0 else under_way(standing),
    )


def compare_finished(
    store: Store, *, law: str = "chinchilla", bootstrap: int = DRAWS, seed: int = 0
) -> "Comparison":
    """Fits of the three approaches to the finished runs, and the reason for each missing fit."""
    from scaling_jax import laws

    records = collect(store)
    if records.empty or not (records["status"] == "finished").any():
        return not_fitted("no run has finished yet")
    options = dict(law=law, bootstrap=bootstrap, seed=seed)
    return laws.compare(records, training_curves=curves(store), **options)


def not_fitted(reason: str) -> "Comparison":
    """A comparison in which every approach is missing for the same reason."""
    from scaling_jax import laws

    return laws.Comparison({}, dict.fromkeys((1, 2, 3), reason))


def verify(records: "pd.DataFrame", fit: "Fit | None") -> Verification | None:
    """The largest finished verification run beside the prediction of the law.

    The law was fitted without the run. None without such a run, a fit, or an interval.
    """
    done = records[(records["role"] == "verification") & (records["status"] == "finished")]
    if fit is None or done.empty:
        return None
    largest = done.sort_values("flops").tail(1)
    row, params = largest.iloc[0], float(params_of(largest, fit).iloc[0])
    tokens, measured = float(row["tokens"]), float(row["loss"])
    prediction = fit.predict(params=params, tokens=tokens)
    if prediction.interval is None:
        return None
    low, high = prediction.interval
    stderr = row.get("loss_stderr")
    return Verification(
        run_id=row["run_id"],
        params=params,
        tokens=tokens,
        flops=float(row["flops"]),
        predicted=prediction.loss,
        interval=(low, high),
        level=fit.level,
        measured=measured,
        measured_stderr=float(stderr) if stderr is not None and formatting.known(stderr) else None,
        error_percent=100 * (measured / prediction.loss - 1),
        inside_interval=low <= measured <= high,
    )


def _as_forecast(
    check: Verification | None, forecasts: Sequence[StudyForecast]
) -> Verification | None:
    """The verification by the frozen forecast of its run, where there is one, not by the fit."""
    if check is None:
        return None
    for score in (each.score for each in forecasts if each.score is not None):
        for run in score.runs:
            if run.name == check.run_id:
                return replace(
                    check,
                    predicted=run.predicted,
                    interval=run.interval,
                    level=score.level,
                    error_percent=run.error_percent,
                    inside_interval=run.inside_interval,
                )
    return check


def flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested dictionaries as one level with dotted names; a rule becomes the call that makes it."""
    facts: dict[str, object] = {}
    for name, value in recipe.items():
        if isinstance(value, Mapping) and prefix == "" and name in ("data", "family"):
            facts.update(flat(value, f"{name}."))
        elif isinstance(value, Mapping):
            facts[prefix + name] = _call(value)
        elif isinstance(value, list):
            facts[prefix + name] = f"{len(value)} values"
        elif name != "is" and value is not None:
            facts[prefix + name] = value
    return facts


def _call(rule: Mapping[str, Any]) -> str:
    arguments = ", ".join(
        f"{name} {_plain(value)}"
        for name, value in rule.items()
        if name != "is" and value is not None
    )
    return f"{rule.get('is', '')}({arguments})" if "is" in rule else arguments or "defaults"


def _plain(value: object) -> str:
    """A setting as text: numbers to six digits, without zeros in an exponent."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return re.sub(r"e[+]?(-?)0*", r"e\1", f"{value:g}") if is_number else str(value)


def _target(records: "pd.DataFrame", verification: Verification | None) -> float:
    from scaling_jax.laws.conventions import BEYOND

    if verification is not None:
        return verification.flops
    return BEYOND * float(records.loc[records["role"] == "grid", "budget"].max())


def _commands(store: Store, target_flops: float | None, law: str) -> tuple[str, ...]:
    """The command that trained the study, where one did, and that of the page."""
    trained = recorded_command(store.directory)
    options = [] if target_flops is None else ["--flops", f"{target_flops:.12g}"]
    options += [] if law == "chinchilla" else ["--law", law]
    page = ["scaling-jax", "report", str(store.directory), *options, "--out", "report.html"]
    made = f"scaling-jax run EXPERIMENT --root {shlex.quote(str(store.directory.parent))}"
    return (trained or made, shlex.join(page))


def _provenance(results: "list[Result]") -> dict[str, str]:
    """Device, data, code and package versions of the runs; several values are joined by commas."""
    facts = {
        "device": sorted({f"{result.devices} x {result.device}" for result in results}),
        "text": sorted({result.data_fingerprint for result in results}),
        "source": sorted({_source(result.code) for result in results if result.code}),
    }
    for package in sorted({name for result in results for name in result.packages}):
        facts[package] = sorted({str(result.packages.get(package)) for result in results})
    return {name: ", ".join(values) for name, values in facts.items() if values}


def _source(code: Mapping[str, Any]) -> str:
    return f"commit {code['commit']}" + (" with changes" if code.get("changed") else "")


def _seconds(results: "list[Result]") -> dict[str, float]:
    total: Counter[str] = Counter()
    for result in results:
        for part, seconds in result.seconds.items():
            total[part] += seconds
    return dict(total)
