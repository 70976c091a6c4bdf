"""What tuning a ladder will cost and has found, as text, tables and plain data."""

import dataclasses
from typing import Any

from scaling_jax import formatting
from scaling_jax.accounting.flops import count_params
from scaling_jax.formatting import count, significant
from scaling_jax.laws.approaches.rate_law import VARIABLES
from scaling_jax.study.execution.swept_cells import CellKey
from scaling_jax.study.execution.tune import RULE_FILE, Tuned, check_runs_of, sweep_cost
from scaling_jax.study.plan.description import stored_form
from scaling_jax.study.plan.study import Study
from scaling_jax.study.plan.tuning import Tuning, ladder_flops, rate_sweep
from scaling_jax.text_table import Table

_SYMBOLS = {"params": "N", "tokens": "D", "batch_size": "B"}


def plan_table(ladder: Study, tuning: Tuning) -> Table:
    """The cells of the sweep, with their rates."""
    rows = [
        (
            count(count_params(cell.shape).active),
            count(cell.tokens),
            str(cell.batch_size),
            f"{significant(min(cell.rates))} to {significant(max(cell.rates))}",
            str(len(cell.rates)),
        )
        for cell in rate_sweep(ladder, tuning).cells
    ]
    return Table(("N", "D", "batch", "learning rates", "number"), rows, left=("learning rates",))


def cost_text(ladder: Study, tuning: Tuning, check: bool) -> str:
    """What the sweep takes, beside the ladder."""
    cost = sweep_cost(ladder, tuning, check=check)
    text = (
        f"{cost['runs']:.0f} runs; the sweep takes {cost['sweep']:.0%} of the ladder's "
        f"{formatting.flops(ladder_flops(ladder))} FLOPs, and at most {cost['at_most']:.0%} "
        "where cells are extended"
    )
    if not check:
        return text
    rung = _cell(check_runs_of(ladder, ladder.recipe.peak_lr, tuning)[0].config)
    return f"{text}; the check, three runs of {rung}, takes {cost['check']:.0%} more"


def _cell(config: Any) -> CellKey:
    return CellKey(count_params(config.shape).active, config.tokens, config.batch_size)


def optima_table(tuned: Tuned) -> Table:
    """The best rate of each cell, its standard error and what the law gives there."""
    rows = []
    for key, optimum in tuned.optima.cells.items():
        at = dict(zip(VARIABLES, (key.params, key.tokens, key.batch_size), strict=True))
        rows.append(
            (
                count(key.params),
                count(key.tokens),
                str(key.batch_size),
                significant(optimum.rate),
                f"{100 * optimum.log_error:.1f} %",
                significant(tuned.law.rate(at)),
                formatting.loss(optimum.loss),
                str(optimum.n_runs),
            )
        )
    columns = ("N", "D", "batch", "best rate", "error", "law", "loss", "runs")
    return Table(columns, rows)


def tuned_text(tuned: Tuned) -> str:
    """The law with its intervals, the check, and the rule as Python."""
    law, intervals = tuned.law, tuned.law.intervals
    parts = []
    for name in VARIABLES:
        where = (
            "assumed"
            if name in law.assumed
            else formatting.interval(intervals[name], lambda x: f"{x:.2f}")
        )
        parts.append(f"{_SYMBOLS[name]}^{law.exponents[name]:.3f} ({where})")
    lines = [
        f"best learning rate = {law.value:.4g} at N {count(law.reference['params'])}, "
        f"D {count(law.reference['tokens'])}, batch {law.reference['batch_size']:.3g}; it follows "
        + " · ".join(parts),
        f"intervals are {formatting.level(law.level)}; a run's log loss has a noise of "
        f"{100 * tuned.optima.noise:.2g} % around the parabolas",
        *_batch_lines(tuned),
        f"the sweep took {tuned.flops / tuned.ladder_flops:.0%} of the ladder's FLOPs",
        *_check_lines(tuned),
        "",
        f"peak_lr={tuned.rule!r}",
        f'peak_lr=TunedLR.read("{tuned.store.directory / RULE_FILE}")',
    ]
    return "\n".join(lines)


def _batch_lines(tuned: Tuned) -> list[str]:
    """The losses of cells that differ only in their batch size; the batch rule is left as it is."""
    by_place: dict[tuple[int, str], dict[int, float]] = {}
    for key, optimum in tuned.optima.cells.items():
        # Whole steps of other batches differ in their tokens by less than a step.
        place = (key.params, f"{key.tokens:.1g}")
        by_place.setdefault(place, {})[key.batch_size] = optimum.loss
    lines = []
    for (params, _), losses in by_place.items():
        if len(losses) > 1:
            each = ", ".join(f"{loss:.4f} at {batch}" for batch, loss in sorted(losses.items()))
            lines.append(
                f"at the best rate of each batch, {count(params)} parameters have losses {each}; "
                "the batch rule stays as it is"
            )
    return lines


def _check_lines(tuned: Tuned) -> list[str]:
    check = tuned.check
    if check is None:
        return []
    rates = ", ".join(f"{loss:.4f} at {significant(rate)}" for rate, loss in check.rates)
    return [
        f"check on {check.cell}: losses {rates}; at the rule's rate "
        f"{significant(check.predicted[0])} the loss is {100 * check.excess:.2f} % above the best "
        "of that sweep"
    ]


def tuned_data(tuned: Tuned) -> dict[str, Any]:
    """Everything that was found, as plain data."""
    return {
        "store": str(tuned.store.directory),
        "rule": stored_form(tuned.rule),
        "exponents": dict(tuned.law.exponents),
        "intervals": tuned.law.intervals,
        "assumed": list(tuned.law.assumed),
        "level": tuned.law.level,
        "noise": tuned.optima.noise,
        "optima": [
            {**dataclasses.asdict(key), **dataclasses.asdict(optimum)}
            for key, optimum in tuned.optima.cells.items()
        ],
        "flops": tuned.flops,
        "ladder_flops": tuned.ladder_flops,
        "check": None if tuned.check is None else dataclasses.asdict(tuned.check),
    }
