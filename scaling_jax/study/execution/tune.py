"""Tuning a ladder: train the sweep, extend it, fit the law of the best rate, check it on top."""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

from scaling_jax.accounting.flops import count_params
from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.rate_law import RateLaw, fit_rate_law
from scaling_jax.laws.approaches.sweep_optimum import SweepOptima, edge_of, sweep_optima
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.study.execution.execute import create_store, train_runs
from scaling_jax.study.execution.job import DEFAULT_JOB, Job, JobOptions
from scaling_jax.study.execution.swept_cells import (
    CellKey,
    best_rate,
    cells_of,
    key_of,
    swept,
    trials_of,
)
from scaling_jax.study.plan.description import stored_form
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.plan.rules import TunedLR
from scaling_jax.study.plan.study import Study
from scaling_jax.study.plan.tuning import (
    DEFAULT_TUNING,
    RateSweep,
    Tuning,
    ladder_flops,
    tuning_study,
)
from scaling_jax.study.store.store import Store
from scaling_jax.study.store.stored_run import StoredRun
from scaling_jax.system.files import write_text_atomically

RULE_FILE = "rule.json"
# Rates by which an extension goes beyond the end of a cell's rates.
_WIDER = 2
# Adam's best rate far below the critical batch (Malladi et al. 2022, 2205.10287), for a sweep of
# one batch.
_ASSUMED_BATCH_EXPONENT = 0.5


@dataclass(frozen=True)
class RateCheck:
    """The rule against a small sweep on the ladder's largest rung.

    Attributes:
        cell: the run that was swept.
        predicted: the rule's rate, and its loss.
        rates: every rate and its loss; nan for a run that diverged.
        best: lowest loss of the sweep, or of the parabola through it.
        excess: loss at the rule's rate over the best, minus 1.
    """

    cell: CellKey
    predicted: tuple[float, float]
    rates: tuple[tuple[float, float], ...]
    best: float
    excess: float


@dataclass(frozen=True)
class Tuned:
    """A tuned ladder.

    Attributes:
        store: the runs of the sweep.
        optima: the best rate of each cell.
        law: the law of the best rate.
        rule: the law as a recipe's rule.
        flops, ladder_flops: training FLOPs of the sweep and of the ladder.
        check: the rule against a sweep on the largest rung, if it was asked for.
    """

    store: Store
    optima: SweepOptima[CellKey]
    law: RateLaw
    rule: TunedLR
    flops: float
    ladder_flops: float
    check: RateCheck | None = None

    def study(self, ladder: Study) -> Study:
        """The ladder under the tuned rule."""
        rule: Any = self.rule
        return replace(ladder, recipe=replace(ladder.recipe, peak_lr=rule))


def tune(
    ladder: Study,
    root: os.PathLike | str,
    tuning: Tuning = DEFAULT_TUNING,
    *,
    check: bool = False,
    level: float = LEVEL,
    report: Callable[[str], None] = lambda line: None,
    job: Job = DEFAULT_JOB,
    **options: Unpack[JobOptions],
) -> Tuned:
    """Find the law of a ladder's best learning rate from a sweep on small runs.

    The sweep is the study `NAME-tune` under `root`: it can be interrupted and continued like any
    other. The rule is written to `rule.json` there, which `TunedLR.read` reads.

    Args:
        ladder: the study to tune; its recipe's rule gives the centre of each cell's rates.
        root: directory in which the sweep has its own.
        tuning: how many cells, rates and batches.
        check: whether to sweep three rates on the ladder's largest rung too.
        level: share of probability in the intervals.
        report: called with a line about each extension.
        job: how the runs are trained.
        options: fields of `Job` to change, such as `workers=2`.

    Raises:
        InputError: bad input, found before anything is trained; or, after training, a cell whose
            best rate stays at an end of its rates, or a sweep that determines no law.
        Preempted: asked to stop; the runs under way are saved.
    """
    job = replace(job, **options)
    sweep = tuning_study(ladder, tuning)
    store = create_store(sweep, root, job)
    train_runs(swept(store), job)
    _extend(store, ladder, tuning, job, report)
    trials = {key: trials_of(runs) for key, runs in cells_of(store).items()}
    optima = sweep_optima(trials)
    law = _law(optima, sweeps_batches(sweep), level)
    rule = _rule(law)
    write_text_atomically(store.directory / RULE_FILE, json.dumps(stored_form(rule), indent=1))
    spent = float(sum(run.planned.flops for run in swept(store)))
    checked = _check(store, ladder, rule, tuning, job) if check else None
    return Tuned(store, optima, law, rule, spent, ladder_flops(ladder), checked)


def _extend(
    store: Store, ladder: Study, tuning: Tuning, job: Job, report: Callable[[str], None]
) -> None:
    """Give cells whose lowest loss is at an end of their rates more rates, as far as allowed.

    Raises:
        InputError: a best rate that stays at an end of its cell's rates.
    """
    whole = ladder_flops(ladder)
    limit = tuning.share * whole
    for extensions in range(tuning.extensions + 1):
        cells = cells_of(store).items()
        open_cells = {key: runs for key, runs in cells if edge_of(trials_of(runs)) is not None}
        if not open_cells:
            return
        more = [run for runs in open_cells.values() for run in _beyond(runs, tuning)]
        flops = sum(run.flops for run in (*more, *(run.planned for run in swept(store))))
        key, runs = next(iter(open_cells.items()))
        side = edge_of(trials_of(runs))
        where = f"the best learning rate of {key} lies at or beyond the {side} of its sweep"
        kept = f"the runs are stored in {store.directory}"
        if not more:
            raise InputError(
                f"{where} that did not diverge; lower --spacing, or the recipe's rate; {kept}"
            )
        if extensions == tuning.extensions:
            raise InputError(
                f"{where}, {best_rate(runs):.3g}, after {extensions} extensions; start from a "
                f"recipe whose rate is nearer, or widen --spacing; {kept}"
            )
        if flops > limit:
            raise InputError(
                f"{where}, {best_rate(runs):.3g}, and two more rates would take the sweep to "
                f"{flops / whole:.0%} of the ladder's FLOPs; raise --share, or start "
                f"from a recipe whose rate is nearer; {kept}"
            )
        report(f"{where}: {len(more)} more runs in {len(open_cells)} cells")
        train_runs([store.add(run) for run in more], job)


def _beyond(runs: Sequence[StoredRun], tuning: Tuning) -> list[PlannedRun]:
    """Runs at the next rates beyond the end at which a cell's lowest loss is.

    There is none beyond a rate above which runs diverged.
    """
    trials = trials_of(runs)
    edge, rates = edge_of(trials), sorted({trial.rate for trial in trials})
    end = rates[-1] if edge == "largest" else rates[0]
    if any(trial.rate == end and not math.isfinite(trial.loss) for trial in trials):
        return []
    factor = tuning.spacing if edge == "largest" else 1 / tuning.spacing
    return [
        _at_rate(run.planned, end * factor**i)
        for run in runs
        if run.planned.config.optimizer.peak_lr == end
        for i in range(1, _WIDER + 1)
    ]


def _at_rate(planned: PlannedRun, rate: float) -> PlannedRun:
    config = planned.config
    optimizer = replace(config.optimizer, peak_lr=float(f"{rate:.6g}"))
    return replace(planned, config=replace(config, optimizer=optimizer))


def sweeps_batches(sweep: Study) -> bool:
    """Whether a cell of the sweep is trained at several batches."""
    cells = sweep.design.cells if isinstance(sweep.design, RateSweep) else ()
    return len({(cell.shape, cell.tokens) for cell in cells}) < len(cells)


def _law(optima: SweepOptima[CellKey], batches: bool, level: float) -> RateLaw:
    found = [
        ({"params": k.params, "tokens": k.tokens, "batch_size": k.batch_size}, optimum)
        for k, optimum in optima.cells.items()
    ]
    # Batches that a rule ties to the size say nothing of the batch alone.
    assumed = {} if batches else {"batch_size": _ASSUMED_BATCH_EXPONENT}
    return fit_rate_law(found, optima.freedom, assumed=assumed, level=level)


def _rule(law: RateLaw) -> TunedLR:
    def rounded(value: float) -> float:
        return float(f"{value:.5g}")

    return TunedLR(
        value=rounded(law.value),
        reference_params=rounded(law.reference["params"]),
        reference_tokens=rounded(law.reference["tokens"]),
        reference_batch=rounded(law.reference["batch_size"]),
        params_exponent=rounded(law.exponents["params"]),
        tokens_exponent=rounded(law.exponents["tokens"]),
        batch_exponent=rounded(law.exponents["batch_size"]),
    )


def largest_rung(ladder: Study) -> PlannedRun:
    """The middle size of the ladder's largest budget."""
    runs = [run for run in ladder.plan() if run.role == "grid"]
    top = max(run.flops for run in runs)
    rung = [run for run in runs if run.flops > 0.98 * top]
    return sorted(rung, key=lambda run: count_params(run.config.shape).active)[len(rung) // 2]


def check_runs_of(ladder: Study, rule: Any, tuning: Tuning) -> list[PlannedRun]:
    """Three runs of the largest rung, at the rule's rate first and then on both sides."""
    rung = largest_rung(replace(ladder, recipe=replace(ladder.recipe, peak_lr=rule)))
    rate = rung.config.optimizer.peak_lr
    return [
        replace(_at_rate(rung, rate * factor), role="verification", variation=None)
        for factor in (1.0, 1 / tuning.spacing, tuning.spacing)
    ]


def _check(store: Store, ladder: Study, rule: TunedLR, tuning: Tuning, job: Job) -> RateCheck:
    stored = [store.add(run) for run in check_runs_of(ladder, rule, tuning)]
    train_runs(stored, job)
    trials = trials_of(stored)
    predicted = trials[0]
    finished = [trial for trial in trials if math.isfinite(trial.loss)]
    best = min((trial.loss for trial in finished), default=math.nan)
    if len(finished) == len(trials) and edge_of(trials) is None:
        best = min(best, sweep_optima({"check": trials}).cells["check"].loss)
    return RateCheck(
        key_of(stored[0].planned.config),
        (predicted.rate, predicted.loss),
        tuple(sorted((trial.rate, trial.loss) for trial in trials)),
        best,
        predicted.loss / best - 1,
    )


def sweep_cost(ladder: Study, tuning: Tuning, *, check: bool = False) -> dict[str, float]:
    """FLOPs of the sweep and of the check as shares of the ladder's, and the number of runs.

    Raises:
        InputError: as `tuning_study`.
    """
    sweep, whole = tuning_study(ladder, tuning), ladder_flops(ladder)
    checks = check_runs_of(ladder, ladder.recipe.peak_lr, tuning) if check else []
    return {
        "runs": float(len(sweep.plan()) + len(checks)),
        "sweep": sweep.flops_spent / whole,
        "at_most": tuning.share,
        "check": sum(run.flops for run in checks) / whole,
    }
