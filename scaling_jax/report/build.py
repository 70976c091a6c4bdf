"""A report's content from a store."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling_jax.errors import InputError
from scaling_jax.report.content import PARAMS_COLUMNS, ReportData, Verification
from scaling_jax.report.under_way import under_way
from scaling_jax.study import Store, collect, curves
from scaling_jax.study.status.standing import Onlooker

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Comparison, Fit
    from scaling_jax.runs.result import Result


def build_report(
    store: Store,
    *,
    target_flops: float | None = None,
    law: str = "chinchilla",
    bootstrap: int = 1000,
    seed: int = 0,
    commands: Sequence[str] | None = None,
    compared: "Comparison | None" = None,
) -> ReportData:
    """Everything a report shows of `store`, with whichever of the three approaches its runs allow.

    The budget asked about is `target_flops`; by default that of the verification run, or else
    ten times the largest budget. `law` is that of approach 3;
    `commands` are what made the store, where they were not `run`, `fit` and `report`;
    `compared` are fits of its finished runs, where those are not to be made anew.

    Raises:
        InputError: a store without runs, or a target that is not positive and finite.
    """
    records = collect(store)
    if records.empty:
        raise InputError(f"{store.directory} holds no runs: nothing to report")
    if compared is None:
        compared = compare_finished(store, law=law, bootstrap=bootstrap, seed=seed)
    standing = Onlooker(store).look()
    verification = verify(records, compared.fits.get(3))
    target = target_flops if target_flops is not None else _target(records, verification)
    if not 0 < target < math.inf:
        raise InputError(f"{target} FLOPs to report on must be positive and finite")
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
        commands=tuple(commands) if commands is not None else _commands(store),
        provenance=_provenance(known),
        seconds=_seconds(known),
        refused=compared.refused,
        under_way=None if standing.seconds_left == 0 else under_way(standing),
    )


def compare_finished(
    store: Store, *, law: str = "chinchilla", bootstrap: int = 1000, seed: int = 0
) -> "Comparison":
    """The fits of the three approaches to the runs that finished, and why the others are not."""
    from scaling_jax import laws

    records = collect(store)
    if records.empty or not (records["status"] == "finished").any():
        return not_fitted("no run is finished yet")
    options = dict(law=law, bootstrap=bootstrap, seed=seed)
    return laws.compare(records, curves=curves(store), **options)


def not_fitted(reason: str) -> "Comparison":
    """No fits, all for one reason."""
    from scaling_jax import laws

    return laws.Comparison({}, dict.fromkeys((1, 2, 3), reason))


def verify(records: "pd.DataFrame", fit: "Fit | None") -> Verification | None:
    """The largest finished verification run against the law, which was fitted without it."""
    done = records[(records["role"] == "verification") & (records["status"] == "finished")]
    if fit is None or done.empty:
        return None
    row = done.sort_values("flops").iloc[-1]
    params = float(row[PARAMS_COLUMNS[fit.count]])
    tokens, measured = float(row["tokens"]), float(row["loss"])
    prediction = fit.predict(params=params, tokens=tokens)
    if prediction.interval is None:
        return None
    low, high = prediction.interval
    stderr = row["loss_stderr"]
    return Verification(
        run_id=row["run_id"],
        params=params,
        tokens=tokens,
        flops=float(row["flops"]),
        predicted=prediction.loss,
        interval=(low, high),
        level=fit.level,
        measured=measured,
        measured_stderr=None if stderr is None else float(stderr),
        error_percent=100 * (measured / prediction.loss - 1),
        inside_interval=low <= measured <= high,
    )


def flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested plain data as one level of dotted names; a rule is shown as it would be called."""
    facts: dict[str, object] = {}
    for name, value in recipe.items():
        if isinstance(value, Mapping) and prefix == "" and name in ("data", "family"):
            facts.update(flat(value, f"{name}."))
        elif isinstance(value, Mapping):
            facts[prefix + name] = _call(value)
        elif isinstance(value, list):
            facts[prefix + name] = f"{len(value)} of them"
        elif name != "is" and value is not None:
            facts[prefix + name] = value
    return facts


def _call(rule: Mapping[str, Any]) -> str:
    arguments = ", ".join(
        f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
        for name, value in rule.items()
        if name != "is"
    )
    return f"{rule.get('is', '')}({arguments})" if "is" in rule else arguments or "defaults"


def _target(records: "pd.DataFrame", verification: Verification | None) -> float:
    from scaling_jax.laws.conventions import BEYOND

    if verification is not None:
        return verification.flops
    return BEYOND * float(records.loc[records["role"] != "verification", "budget"].max())


def _commands(store: Store) -> tuple[str, ...]:
    directory = store.directory
    return (
        f"scaling-jax run EXPERIMENT --root {directory.parent}",
        f"scaling-jax fit {directory} --out fit.json",
        f"scaling-jax report {directory} --out report.html",
    )


def _provenance(results: "list[Result]") -> dict[str, str]:
    """What the runs were made with; more than one value of a kind is shown as such."""
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
