"""The runs of a store as a table."""

import dataclasses
import operator
import os
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig
from scaling_jax.study.store.store import Store, opened, warn_left_out
from scaling_jax.study.store.stored_run import CheckedResult, StoredRun

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
# How a run was computed, which changes its losses by float32 rounding alone.
COMPUTED_BY = ("remat", "accumulate", "mesh")
_LOSS_COLUMNS = ("loss", "loss_stderr", "bits_per_byte", "train_loss")
# A configuration of another version is refused, so the version has one value. A batch ramp has two
# columns, with numbers for a run without one too.
_WITHOUT_COLUMN = ("version", "batch_ramp")
# Fields that are named for the part of the configuration that holds them, or whose name is that of
# a measured column.
_RENAMED = {
    "optimizer.name": "optimizer",
    "parameterization.rule": "parameterization",
    "data.unique_tokens": "unique_tokens_limit",
    **{f"dropout.{place}": f"dropout_{place}" for place in ("residual", "attention", "embedding")},
}
# Fields whose values a table holds as text.
_AS_TEXT: dict[str, Callable[[RunConfig], Any]] = {
    "eval_every": lambda config: _number_or_text(config.eval_every),
    "start": lambda config: config.start and str(config.start),
    "noise_scale": lambda config: config.noise_scale and str(config.noise_scale),
    "evals": lambda config: ", ".join(map(str, config.evals)),
    "shape.architecture": lambda config: config.shape.architecture_name,
    "shape.module": lambda config: str(config.shape.module or "") or None,
}


def _columns(kind: type, within: str = "") -> dict[str, Callable[[RunConfig], Any]]:
    """For each field of a configuration, in whatever part of it: a column, and its value."""
    columns = dict[str, Callable[[RunConfig], Any]]()
    hints = typing.get_type_hints(kind)
    for name in (field.name for field in dataclasses.fields(kind)):
        path = f"{within}{name}"
        if dataclasses.is_dataclass(hints[name]):
            columns |= _columns(hints[name], f"{path}.")
        elif path in _RENAMED:
            columns[_RENAMED[path]] = operator.attrgetter(path)
        elif path in _AS_TEXT:
            columns[name] = _AS_TEXT[path]
        elif path not in _WITHOUT_COLUMN:
            columns[name] = operator.attrgetter(path)
    return columns


def _number_or_text(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else str(value)


CONFIGURATION = _columns(RunConfig) | {
    "batch_ramp_factor": lambda config: config.batch_ramp.factor if config.batch_ramp else 1,
    "batch_ramp_until": lambda config: config.batch_ramp.until if config.batch_ramp else 0.0,
}


def collect(store: Store | os.PathLike | str) -> "pd.DataFrame":
    """The records of a store as a table, one row per run whatever its state.

    `store` can be a study's directory, or a root that holds one study.

    Losses are in nats per token. `params` is the total count. `flops` follows the study's
    `convention` and counts from the run's first step, as laws do; `flops_<convention>` columns hold
    the others. `flops_spent` counts only the steps that the run took itself, fewer for a branch,
    whose `trunk` took the first `begun_at` steps. `lineage` is trunk, branch or single. Every field
    of a run's configuration has a column. `requested_tokens` are the design's, before they were
    rounded to whole steps; `variation` names the variation of a sweep. `unique_tokens` are the
    distinct ones that a run read, and `text_tokens` those that there were to read.

    Runs that are evaluated along the way, or on further sets, have more columns. `loss_least` is
    the least held-out loss of a run, at `loss_least_tokens`. `loss_<set>`, `loss_<set>_stderr`,
    `bits_per_byte_<set>`, `loss_<set>_least` and `loss_<set>_least_tokens` are those of a further
    set. A task has `acc_<set>`, `acc_norm_<set>`, `soft_<set>` and `bits_per_byte_<set>`, each with
    `..._stderr`, `chance_<set>` and `questions_<set>`, and one of a file `questions_in_text_<set>`,
    the number of its questions that stand in the training text. `evaluation_flops` counts the run's
    own evaluations, which no other column includes. `entropy` is the known entropy of a synthetic
    language, which `scaling_jax.data.entropy` gives.
    Runs that measure their gradient noise have `noise_scale_tokens` over their last half, its 95 %
    interval `noise_scale_low` to `noise_scale_high`, and `noise_scale_flops` of the measurements.

    `remat`, `accumulate` and `mesh` say how a run was computed.

    A run whose result is faulty has failed. A `LeftOutWarning` names such runs.
    """
    import pandas as pd

    store = opened(store)
    checked = [(run, run.check_result()) for run in store.runs()]
    trunks = {run.planned.branch.trunk for run, _ in checked if run.planned.branch is not None}
    warn_left_out(store.problems_of(checked))
    return pd.DataFrame([_row(run, result, trunks) for run, result in checked])


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
        "text_tokens": result.text_tokens if result else None,
        "flops": by_convention[f"flops_{run.planned.convention}"],
        **by_convention,
        "flops_counted_by": flops.flops_counted_by(shape),
        **{name: getattr(result, name, None) for name in _LOSS_COLUMNS},
        **{name: value(config) for name, value in CONFIGURATION.items()},
        "tokens_per_second": result.tokens_per_second if result else None,
        "seconds": sum(result.seconds.values()) if result else None,
        **{name: _computed_by(result).get(name) for name in COMPUTED_BY},
        **_evaluated(result),
        **_known_entropy(config),
        **(result.noise_scale if result else {}),
        **_made_with(result),
        "failure": run.failure_given(checked) or (result.note if result else None),
    }


def _lineage(run: StoredRun, result: "Result | None", trunks: set[str]) -> dict[str, Any]:
    planned, branch = run.planned, run.planned.branch
    is_trunk = run.run_id in trunks
    shared, spent = planned.shared_steps, planned.flops_spent
    if result is not None:
        shared = result.begun_at
        spent = planned.flops * (result.steps - shared) // planned.config.steps
    return {
        "lineage": "branch" if branch else "trunk" if is_trunk else "single",
        "trunk": branch.trunk if branch else None,
        "begun_at": shared,
        "flops_spent": spent,
    }


def _computed_by(result: "Result | None") -> dict[str, Any]:
    return {} if result is None else result.computed_by


def _evaluated(result: "Result | None") -> dict[str, Any]:
    """What a run with held-out losses before its end, or on further sets, has more."""
    if result is None or result.evaluations is None:
        return {}
    return {**result.held_out, "evaluation_flops": result.evaluation_flops}


def _known_entropy(config: RunConfig) -> dict[str, float]:
    """The lowest loss of any model of the shape's `seq_len` on the run's text, if it is known."""
    # Imported here, since most tables of records need no text.
    from scaling_jax.data.entropy import entropy

    data = config.data
    known = entropy(data.corpus, data.tokenizer, config.shape.seq_len)
    return {} if known is None else {"entropy": known}


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
