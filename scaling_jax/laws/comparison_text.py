"""Several approaches to the same runs, side by side, in words and as plain data."""

import dataclasses
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.laws.fit_text import COUNTS, summary_of
from scaling_jax.laws.notes import Note, Severity, of_severity
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from scaling_jax.laws.allocation import Allocation, Estimate, Optimum
    from scaling_jax.laws.comparison import Comparison

EXPONENTS = ("approach", "a: N_opt ~ C^a", "b: D_opt ~ C^b")
OPTIMA = ("approach", "N_opt", "D_opt", "D/N", "loss")


def comparison_text(compared: "Comparison") -> list[str | Table]:
    """Warnings, exponents, the optimum at the largest budget and ten times it, and notes."""
    allocations = list(compared.allocations().values())
    refused: list[str | Table] = [
        f"approach {k} was not fitted: {why}" for k, why in compared.refused.items()
    ]
    if not allocations:
        return refused
    first = allocations[0]
    level = formatting.level(first.level)
    bounds = f" ({level} intervals in brackets)" if first.optima[0].params_interval else ""
    blocks: list[str | Table] = [
        f"{COUNTS.get(first.count, first.count)}{bounds}.",
        *(note.line for note in compared.disagreements()),
        *_notes(compared, "warning"),
        "",
        Table(EXPONENTS, [_exponents(each) for each in allocations], EXPONENTS[:1]),
    ]
    largest, *_ = compared.budgets()
    for k, flops in enumerate(compared.budgets()):
        where = f"At {flops / largest:g} times that" if k else "At the largest budget"
        rows = [(_name(each), *_optimum(each.optima[k])) for each in allocations]
        blocks += [f"\n{where}, {formatting.flops(flops)} FLOPs:", Table(OPTIMA, rows, OPTIMA[:1])]
    return [*blocks, "", *refused, *_notes(compared, "note")]


def comparison_data(compared: "Comparison") -> dict[str, Any]:
    """Every allocation, every fit without its draws, and why the others were refused."""
    allocations = compared.allocations()
    return {
        "allocations": {key: dataclasses.asdict(each) for key, each in allocations.items()},
        "refused": dict(compared.refused),
        "diagnostics": [note.as_data() for note in compared.disagreements()],
        "fits": {key: summary_of(fit) for key, fit in compared.fits.items()},
    }


def _notes(compared: "Comparison", severity: Severity) -> list[str]:
    """Each note once, with the approaches that it is on."""
    on: dict[Note, list[str]] = {}
    for approach, fit in compared.fits.items():
        for note in of_severity(fit.diagnostics, severity):
            on.setdefault(note, []).append(str(approach))
    return [f"{severity} on {', '.join(approaches)}: {note}" for note, approaches in on.items()]


def _name(allocation: "Allocation") -> str:
    return f"{allocation.approach}: {allocation.method}"


def _exponents(allocation: "Allocation") -> tuple[str, ...]:
    return (_name(allocation), *map(_exponent, allocation.exponents.values()))


def _exponent(estimate: "Estimate") -> str:
    return _cell(estimate.value, estimate.interval, "{:.3f}".format)


def _optimum(optimum: "Optimum") -> tuple[str, ...]:
    return (
        _cell(optimum.params, optimum.params_interval, formatting.count),
        _cell(optimum.tokens, optimum.tokens_interval, formatting.count),
        formatting.significant(optimum.tokens / optimum.params),
        _cell(optimum.loss, optimum.loss_interval, formatting.loss),
    )


def _cell(value: Any, bounds: object, form: Any) -> str:
    text = formatting.interval(bounds, form)
    return f"{form(value)} ({text})" if text else form(value)
