"""Fits of several groups, side by side, in words and as plain data."""

import dataclasses
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.laws.fit_text import COUNTS, summary_of
from scaling_jax.laws.notes import Note, of_severity
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.laws.fitted import Fit
    from scaling_jax.laws.grouping import GroupedFits

_SYMBOLS = {"a": "a: N_opt ~ C^a", "b": "b: D_opt ~ C^b"}


def grouped_text(grouped: "GroupedFits") -> list[str | Table]:
    """A row for each group, the differences from the first group, and notes."""
    refused = [f"{name} was not fitted: {why}" for name, why in grouped.refused.items()]
    if not grouped.fits:
        return ["No law was fitted.", *refused]
    first, base = next(iter(grouped.fits.items()))
    names = [*(base.exponents or base.params)]
    has_optimum = any(fit.exponents for fit in grouped.fits.values())
    level = formatting.level(base.level)
    heading = (grouped.by, "points", *(_SYMBOLS.get(name, name) for name in names))
    if has_optimum:
        heading = (*heading, "N_opt", "loss")
    rows = [
        _row(name, fit, names, grouped.budget, has_optimum) for name, fit in grouped.fits.items()
    ]
    at = f"; N_opt and its loss at {formatting.flops(grouped.budget)} FLOPs" if has_optimum else ""
    blocks: list[str | Table] = [
        f"Approach {base.approach}, {base.method}; {COUNTS.get(base.count, base.count)}, {level} "
        f"intervals in brackets{at}.",
        *_notes(grouped, "warning"),
        "",
        Table(heading, rows, heading[:1]),
    ]
    if contrasts := grouped.contrasts():
        columns = (grouped.by, "constant", f"minus that of {first}", "resamples")
        differences = [
            (each.group, each.name, _cell(each.difference), _drawn(each.paired))
            for each in contrasts
        ]
        blocks += ["\nDifferences:", Table(columns, differences, (*columns[:2], columns[3]))]
    return [*blocks, "", *refused, *_notes(grouped, "note")]


def grouped_data(grouped: "GroupedFits") -> dict[str, Any]:
    """Every fit without its draws, the differences, and why other groups were refused."""
    return {
        "by": grouped.by,
        "fits": {name: summary_of(fit) for name, fit in grouped.fits.items()},
        "differences": [dataclasses.asdict(each) for each in grouped.contrasts()],
        "refused": dict(grouped.refused),
    }


def _row(
    group: str, fit: "Fit", names: list[str], budget: float, has_optimum: bool
) -> tuple[str, ...]:
    values = fit.exponents or fit.params
    intervals = (fit.exponent_intervals if fit.exponents else fit.intervals) or {}
    cells = [
        _estimate(values[name], intervals.get(name)) if name in values else "-" for name in names
    ]
    row = (group, str(fit.n_points), *cells)
    if not has_optimum:
        return row
    if not fit.exponents:
        return (*row, "-", "-")
    optimum = fit.optimal(budget)
    return (
        *row,
        _estimate(optimum.params, optimum.params_interval, formatting.count),
        "-"
        if optimum.loss is None
        else _estimate(optimum.loss, optimum.loss_interval, formatting.loss),
    )


def _drawn(paired: bool) -> str:
    return "paired" if paired else "independent"


def _cell(estimate: Any) -> str:
    return _estimate(estimate.value, estimate.interval, "{:+.3f}".format)


def _estimate(value: float, bounds: object, form: Any = "{:.3f}".format) -> str:
    text = formatting.interval(bounds, form)
    return f"{form(value)} ({text})" if text else str(form(value))


def _notes(grouped: "GroupedFits", severity: Any) -> list[str]:
    """Each note once, with the groups that it is on."""
    on: dict[Note, list[str]] = {}
    for name, fit in grouped.fits.items():
        for note in of_severity(fit.diagnostics, severity):
            on.setdefault(note, []).append(name)
    return [f"{severity} on {'; '.join(groups)}: {note}" for note, groups in on.items()]
