"""A sensitivity as a table and sentences."""

from typing import TYPE_CHECKING

from scaling_jax import formatting
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.laws.extrapolation.sensitivity import Sensitivity
    from scaling_jax.laws.extrapolation.sensitivity_cases import Case

COLUMNS = ("with", "loss", "change of loss", "N_opt", "change of N_opt")


def sensitivity_text(found: "Sensitivity") -> list[str | Table]:
    """The run asked about, the table, the range over runs, and why numbers are missing."""
    params, tokens = found.at["params"], found.at["tokens"]
    first = found.cases[0]
    rows = [_row(case, found.unchanged(case)) for case in found.cases]
    level = formatting.level(found.level)
    return [
        f"The loss of {formatting.count(params)} parameters on {formatting.count(tokens)} "
        f"tokens, and N_opt at {formatting.flops(found.flops)} FLOPs, with one thing changed at a "
        "time:\n",
        Table(COLUMNS, rows, COLUMNS[:1]),
        *_intervals(first, level),
        *_ranges(found),
        *(f"{case.name}: {case.reason}." for case in found.cases if case.reason),
    ]


def _row(case: "Case", unchanged: "Case") -> tuple[str, ...]:
    return (
        case.name,
        formatting.loss(case.loss),
        _change(case.loss, unchanged.loss),
        formatting.count(case.params),
        _change(case.params, unchanged.params),
    )


def _change(value: float | None, first: float | None) -> str:
    if value is None or first is None:
        return formatting.MISSING
    return formatting.percent(100 * (value / first - 1))


def _intervals(first: "Case", level: str) -> list[str]:
    parts = [
        f"{name} {formatting.interval(bounds, form)}"
        for name, bounds, form in (
            ("loss", first.loss_interval, formatting.loss),
            ("N_opt", first.params_interval, formatting.count),
        )
        if bounds is not None
    ]
    return [f"\n{level} intervals of the first row: {', '.join(parts)}."] if parts else []


def _ranges(found: "Sensitivity") -> list[str]:
    if not found.left_out:
        return []
    forms = {"loss": ("the loss", formatting.loss), "params": ("N_opt", formatting.count)}
    between = [
        f"{forms[name][0]} is {formatting.interval(ends, forms[name][1])}"
        for name, ends in found.run_ranges.items()
    ]
    return [
        f"\nWithout any one of {found.left_out} runs, {' and '.join(between)} by the law "
        f"{found.run_law}; the table has the runs that move the loss most, with the change from "
        "that law with all runs."
    ]
