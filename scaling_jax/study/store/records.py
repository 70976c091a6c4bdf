"""The runs of a store as a table, and their loss curves."""

import dataclasses
import operator
import typing
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig
from scaling_jax.errors import LeftOutWarning
from scaling_jax.study.store.store import CheckedResult, Store, StoredRun

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.runs.result import Result

MADE_WITH = (
    "data_fingerprint",
    "device",
    "devices",
    "scaling_jax",
    "jax",
    "python",
    "commit",
    "code_changed",
)
_LOSS_COLUMNS = ("loss", "loss_stderr", "bits_per_byte", "train_loss")
# A configuration of another version is refused, so this field has one value.
_WITHOUT_COLUMN = ("version",)
# Fields that are named for the part of the configuration that holds them.
_NAMED_FOR_PART = ("optimizer.name", "parameterization.rule")
CURVE_COLUMNS = [
    *("run_id", "params", "params_non_embedding", "params_active"),
    *("tokens", "flops", "step", "loss"),
]


def _columns(kind: type, within: str = "") -> dict[str, Callable[[RunConfig], Any]]:
    """For each field of a configuration, in whatever part of it: a column, and its value."""
    columns = dict[str, Callable[[RunConfig], Any]]()
    hints = typing.get_type_hints(kind)
    for name in (field.name for field in dataclasses.fields(kind)):
        path = f"{within}{name}"
        if dataclasses.is_dataclass(hints[name]):
            columns |= _columns(hints[name], f"{path}.")
        elif path in _NAMED_FOR_PART:
            columns[within.removesuffix(".")] = operator.attrgetter(path)
        elif path not in _WITHOUT_COLUMN:
            columns[name] = operator.attrgetter(path)
    return columns


CONFIGURATION = _columns(RunConfig)


def collect(store: Store) -> "pd.DataFrame":
    """The records of a store as a table, one row per run whatever its state.

    Losses are in nats per token. `params` is the total count. `flops` follows the study's
    `convention` and counts from the run's first step, as laws do; `flops_<convention>` columns hold
    the others. `flops_spent` counts only the steps that the run took itself, fewer for a branch,
    whose `trunk` took the first `begun_at` steps. `lineage` is trunk, branch or single. Every field
    of a run's configuration has a column. `requested_tokens` are the design's, before they were
    rounded to whole steps; `variation` names the variation of a sweep.

    A run whose result is faulty has failed. A `LeftOutWarning` names such runs.
    """
    import pandas as pd

    checked = [(run, run.check_result()) for run in store.runs()]
    trunks = {run.planned.branch.trunk for run, _ in checked if run.planned.branch is not None}
    _warn(store.problems_of(checked))
    return pd.DataFrame([_row(run, result, trunks) for run, result in checked])


def curves(store: Store, *, unfinished: bool = False) -> "pd.DataFrame":
    """Training loss in nats per token at every step of every finished run of the grid.

    With `unfinished`, the curves of unfinished runs are included, for plots: no law is fitted to
    such runs. A finished run whose curve is damaged is left out, and a `LeftOutWarning` names it.
    """
    import pandas as pd

    grid = [run for run in store.runs() if run.planned.role == "grid"]
    read = [(run, *_curve(run, unfinished)) for run in grid]
    _warn(_damaged(run, fault) for run, _, fault in read if fault is not None)
    rows = [row for run, steps, fault in read if fault is None for row in _with_flops(run, steps)]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def damage_of_curve(run: StoredRun) -> str | None:
    """What is wrong with the training curve of a finished run; None for every other run."""
    return _curve(run, unfinished=False)[1]


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        warnings.warn(sentence, LeftOutWarning, stacklevel=3)


def _row(run: StoredRun, checked: CheckedResult, trunks: set[str]) -> dict[str, Any]:
    return _record(run, checked) | _lineage(run, checked.result, trunks)


def _record(run: StoredRun, checked: CheckedResult) -> dict[str, Any]:
    config, result = run.planned.config, checked.result
    counts, shape = flops.count_params(config.shape), config.shape
    tokens = result.tokens if result else config.tokens
    by_convention = {
        f"flops_{name}": flops.training_flops(shape, tokens, name) for name in flops.CONVENTIONS
    }
    return {
        "run_id": run.run_id,
        "role": run.planned.role,
        "status": run.state_given(checked),
        "budget": run.planned.budget,
        "convention": run.planned.convention,
        "variation": run.planned.variation,
        "params": counts.total,
        "params_non_embedding": counts.non_embedding,
        "params_active": counts.active,
        "tokens": tokens,
        "requested_tokens": run.planned.requested_tokens,
        "unique_tokens": result.unique_tokens if result else None,
        "flops": by_convention[f"flops_{run.planned.convention}"],
        **by_convention,
        **{name: getattr(result, name, None) for name in _LOSS_COLUMNS},
        **{name: value(config) for name, value in CONFIGURATION.items()},
        "tokens_per_second": result.tokens_per_second if result else None,
        "seconds": sum(result.seconds.values()) if result else None,
        **_made_with(result),
        "failure": run.failure_given(checked) or (result.note if result else None),
    }


def _lineage(run: StoredRun, result: "Result | None", trunks: set[str]) -> dict[str, Any]:
    planned, branch = run.planned, run.planned.branch
    is_trunk = run.run_id in trunks
    shared, spent = (branch.step if branch else 0), planned.flops_spent
    if result is not None:
        shared = result.begun_at
        spent = planned.flops * (result.steps - shared) // planned.config.steps
    return {
        "lineage": "branch" if branch else "trunk" if is_trunk else "single",
        "trunk": branch.trunk if branch else None,
        "begun_at": shared,
        "flops_spent": spent,
    }


def _made_with(result: "Result | None") -> dict[str, Any]:
    """The text, the machine and the software that produced a loss."""
    if result is None:
        return dict.fromkeys(MADE_WITH)
    code, packages = result.code, result.packages
    made = (
        result.data_fingerprint,
        result.device,
        result.devices,
        packages.get("scaling_jax"),
        packages.get("jax"),
        packages.get("python"),
        code.get("commit"),
        code.get("changed"),
    )
    return dict(zip(MADE_WITH, made, strict=True))


def _curve(run: StoredRun, unfinished: bool) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of the run's curve, if they are requested; what is wrong with a finished run's."""
    checked = run.check_result()
    result, config = checked.result, run.planned.config
    if checked.fault is not None or (result is None and not unfinished):
        return [], None
    if result is not None and result.status != "finished":
        return [], None
    # Imported here, since it needs JAX and a table of records does not.
    from scaling_jax.runs.curve import curve_fault
    from scaling_jax.runs.metrics import read_metrics

    rows = read_metrics(run.directory)
    return rows, None if result is None else curve_fault(rows, result, config)


def _damaged(run: StoredRun, fault: str) -> str:
    return (
        f"the curve of run {run.run_id} is left out: metrics.jsonl {fault}. Restore the file, or "
        "train the run again with run --retry-failed"
    )


def _with_flops(run: StoredRun, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    config = run.planned.config
    per_step = run.planned.flops / config.steps
    counts = flops.count_params(config.shape)
    return [
        {
            "run_id": run.run_id,
            "params": counts.total,
            "params_non_embedding": counts.non_embedding,
            "params_active": counts.active,
            "tokens": row["tokens"],
            "flops": row["step"] * per_step,
            "step": row["step"],
            "loss": row["loss"],
        }
        for row in rows
    ]
