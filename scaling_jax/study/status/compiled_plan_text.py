"""The compiled programs of a plan as a table, as sentences and as plain data."""

from collections.abc import Sequence
from typing import Any

from scaling_jax import formatting
from scaling_jax.accounting.hardware import GIB
from scaling_jax.aot.report import Report
from scaling_jax.aot.report_text import needs, report_data
from scaling_jax.execution_choice import Chips, choice_text
from scaling_jax.study.status.compiled_plan import CompiledPrograms, RunPrograms
from scaling_jax.text_table import Table

_COLUMNS = (
    "N params",
    "runs",
    "batch",
    "computed by",
    "estimated",
    "compiled",
    "fits",
    "step at least",
    "limit",
    "links",
    "overlapped",
    "hours at least",
    "compiled in",
)
_LEFT = ("computed by", "fits", "limit")


def compiled_table(compiled: Sequence[CompiledPrograms]) -> Table:
    """One row for the programs of each kind of run, smallest first."""
    columns: tuple[str, ...] = _COLUMNS
    if any(each.price is not None for each in compiled):
        columns = (*columns, "price at least")
    rows = [_cells(each) for each in _in_order(compiled)]
    return Table(columns, rows, left=_LEFT)


def compiled_summary(compiled: Sequence[CompiledPrograms]) -> str:
    """How many runs fit, what the plan takes at least, and why some programs have no report."""
    topology = compiled[0].programs.request.topology
    n_runs = sum(len(each.programs.runs) for each in compiled)
    n_fitting = sum(len(each.programs.runs) for each in compiled if each.fits)
    hours = [each.hours_at_least for each in compiled]
    known = sum(hour for hour in hours if hour is not None)
    left_out = "" if None not in hours else " (of the runs that were compiled and fit)"
    lines = [
        f"{n_fitting} of {n_runs} runs fit on {topology.name}, by the programs of {len(compiled)} "
        f"kinds of runs. Their steps take at least {_hours(known)} hours or "
        f"{_hours(known * topology.n_chips)} chip-hours{left_out}{_price(compiled)}."
    ]
    lines += [
        f"{_name(each.programs)}: {problem}"
        for each in _in_order(compiled)
        if (problem := _problem(each))
    ]
    return "\n".join(lines)


def progress(one: CompiledPrograms) -> str:
    """A line about programs that have just been compiled."""
    if not isinstance(one.found, Report):
        how = "failed"
    else:
        how = "fits" if one.found.fits else "does not fit"
        seconds = formatting.seconds(_seconds(one.found))
        how += ", compiled before" if one.stored else f", compiled in {seconds}"
    return f"{_name(one.programs)}: {how}"


def compiled_data(compiled: Sequence[CompiledPrograms]) -> list[dict[str, Any]]:
    """The programs, their runs and the compiler's reports as plain data."""
    return [_data(each) for each in _in_order(compiled)]


def _in_order(compiled: Sequence[CompiledPrograms]) -> list[CompiledPrograms]:
    return sorted(
        compiled, key=lambda one: (one.programs.params, one.programs.request.config.tokens_per_step)
    )


def _data(one: CompiledPrograms) -> dict[str, Any]:
    programs, found = one.programs, one.found
    return {
        "params": programs.params,
        "run_ids": [run.config.run_id for run in programs.runs],
        "estimated_bytes": programs.estimated_bytes,
        "fits": one.fits,
        "steps": programs.steps,
        "hours_at_least": one.hours_at_least,
        "price_at_least": one.price_at_least,
        "stored": one.stored,
        "problem": _problem(one),
        "report": report_data(found) if isinstance(found, Report) else None,
    }


def _cells(one: CompiledPrograms) -> tuple[str, ...]:
    programs, found = one.programs, one.found
    request = programs.request
    chips = Chips(request.topology.chip, request.topology.n_chips)
    known = programs.estimated_bytes is not None
    first = (
        formatting.count(programs.params),
        f"{len(programs.runs)}",
        f"{request.config.batch_size:,}",
        choice_text(request.config, request.execution, chips) if known else "-",
        _gib(programs.estimated_bytes),
    )
    priced = () if one.price is None else (_money(one.price_at_least),)
    if not isinstance(found, Report):
        return (*first, "-", "failed", *["-"] * 6, *priced)
    bounds = found.bounds
    measured = ("-", "-", "-", "-", "-")
    if bounds is not None:
        measured = (
            formatting.seconds(bounds.step).replace(" ", " "),
            bounds.limit,
            f"{bounds.interconnect / bounds.step:.0%}",
            "-" if found.overlapped is None else f"{found.overlapped:.0%}",
            _hours(one.hours_at_least),
        )
    return (
        *first,
        _gib(found.memory.needed or None),
        "yes" if found.fits else f"NO ({found.largest.name})",
        *measured,
        "stored" if one.stored else formatting.seconds(_seconds(found)),
        *priced,
    )


def _seconds(report: Report) -> float:
    return sum(one.compile_seconds for one in report.programs)


def _problem(one: CompiledPrograms) -> str | None:
    """Why the programs cannot be trained there; None if they can."""
    found = one.found
    if not isinstance(found, Report):
        return str(found)
    if found.fits:
        return None
    advice = f"; estimated to fit: {'; '.join(found.advice)}" if found.advice else ""
    return f"{found.largest.name} needs {needs(found.largest.memory)}{advice}"


def _name(programs: RunPrograms) -> str:
    n = len(programs.runs)
    return f"{formatting.count(programs.params)} parameters ({n} run{'s' * (n != 1)})"


def _price(compiled: Sequence[CompiledPrograms]) -> str:
    if compiled[0].price is None:
        return ""
    total = sum(each.price_at_least or 0.0 for each in compiled)
    return f", {formatting.money(total)} at {compiled[0].price:g} a chip-hour"


def _gib(n_bytes: int | None) -> str:
    return "-" if n_bytes is None else f"{n_bytes / GIB:,.2f} GiB"


def _hours(hours: float | None) -> str:
    return "-" if hours is None else formatting.significant(hours)


def _money(price: float | None) -> str:
    return "-" if price is None else formatting.money(price)
