"""Rows of the report's tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling_jax import formatting
from scaling_jax.laws.notes import of_severity
from scaling_jax.report.content import ReportData
from scaling_jax.report.summary import ratio_interval

if TYPE_CHECKING:
    from scaling_jax.laws import Allocation, Fit

APPROACHES = {
    1: "envelope of training curves",
    2: "IsoFLOP minima",
    3: "parametric L(N, D)",
}


APPROACH_COLUMNS = ("Approach", "a", "b", "Parameters", "Tokens", "Tokens/param", "Loss")


@dataclass(frozen=True)
class Cell:
    """A value, and the interval that is printed below it."""

    value: str
    note: str = ""


@dataclass(frozen=True)
class RunRow:
    """One run: the texts of its columns, and whether the row is highlighted."""

    cells: tuple[str, ...]
    status: str
    lost: bool
    beyond: bool


@dataclass(frozen=True)
class _Column:
    """A column of the table of runs.

    Attributes:
        title: its heading.
        reads: the columns of the records that its texts are made of.
        text: a row of the records -> the text in this column.
    """

    title: str
    reads: tuple[str, ...]
    text: Callable[[Mapping[Any, Any]], str]


def run_columns(data: ReportData) -> tuple[str, ...]:
    """The headings of the table of runs, whose rows are `run_rows`."""
    return ("Run", "Status", *(column.title for column in _columns(data)))


def _columns(data: ReportData) -> tuple[_Column, ...]:
    """The columns that the records have; a user's table need not have all, nor runs a note."""
    rows = data.records.to_dict("records")
    known = (each for each in _COLUMNS if set(each.reads).issubset(data.records.columns))
    return tuple(each for each in known if any(each.text(row) for row in rows))


def run_rows(data: ReportData) -> tuple[RunRow, ...]:
    """One row for every run, in any state, ordered by budget and size."""
    # The FLOPs of a run differ slightly from its budget and would shuffle the sizes of a budget.
    keys = [key for key in ("budget", "flops") if key in data.records][:1]
    ordered = data.records.sort_values([*keys, "params", "run_id"], kind="stable")
    columns = _columns(data)
    return tuple(_run_row(row, columns) for row in ordered.to_dict("records"))


def approach_rows(data: ReportData) -> tuple[tuple[Cell, ...], ...]:
    """One row per approach: its exponents and its optimum at the target budget."""
    fits = [fit for _, fit in sorted(data.fits.items())]
    return tuple(_approach_row(fit.allocation([data.target_flops])) for fit in fits)


def law_rows(fit: "Fit | None") -> tuple[tuple[str, str, str], ...]:
    """One row per constant of the fitted law: name, value, interval."""
    if fit is None:
        return ()
    intervals = fit.intervals or {}
    return tuple(
        (name, _constant(value), formatting.interval(intervals.get(name), _constant))
        for name, value in fit.params.items()
    )


def law_formula(fit: "Fit | None") -> str:
    """The formula of the fitted law and its source; empty for a law outside the catalogue."""
    from scaling_jax.laws import LAWS

    if fit is None or fit.law not in LAWS:
        return ""
    form = LAWS[fit.law]
    return f"{form.formula}. {form.source}."


def time_rows(seconds: Mapping[str, float]) -> tuple[tuple[str, str, float], ...]:
    """One row per activity, longest first: name, time, share of the total in percent."""
    total = sum(seconds.values()) or 1.0
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    return tuple((name, formatting.seconds(s), 100 * s / total) for name, s in longest)


def diagnostics(data: ReportData) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The notes of each approach: fitted points, dropped rows and warnings, or a refusal."""
    fitted = {key: _notes(fit) for key, fit in data.fits.items()}
    refused = {key: (f"Not fitted: {reason}.",) for key, reason in data.refused.items()}
    return tuple((_name(key), notes) for key, notes in sorted({**refused, **fitted}.items()))


def _run_row(row: Mapping[Any, Any], columns: tuple[_Column, ...]) -> RunRow:
    status = str(row["status"])
    cells = (str(row["run_id"]), *(column.text(row) for column in columns))
    beyond = row["role"] == "verification"
    lost = status in ("diverged", "failed")
    return RunRow(cells, status, lost, beyond)


def _approach_row(allocation: "Allocation") -> tuple[Cell, ...]:
    (optimum,) = allocation.optima
    exponents = (
        Cell(f"{estimate.value:.3f}", formatting.interval(estimate.interval, _three_decimals))
        for estimate in allocation.exponents.values()
    )
    ratio = formatting.significant(optimum.tokens / optimum.params)
    return (
        Cell(f"{allocation.approach}: {allocation.method}"),
        *exponents,
        Cell(formatting.count(optimum.params), formatting.interval(optimum.params_interval)),
        Cell(formatting.count(optimum.tokens), formatting.interval(optimum.tokens_interval)),
        Cell(ratio, formatting.interval(ratio_interval(optimum), formatting.significant)),
        Cell(
            formatting.loss(optimum.loss),
            formatting.interval(optimum.loss_interval, formatting.loss),
        ),
    )


def _notes(fit: "Fit") -> tuple[str, ...]:
    dropped = "; ".join(f"{n} × {reason}" for reason, n in fit.n_dropped.items() if n)
    points = f"Fitted to {fit.n_points} points" + (f"; dropped: {dropped}." if dropped else ".")
    warnings, others = (of_severity(fit.diagnostics, kind) for kind in ("warning", "note"))
    notes = (points, *(f"Warning: {text}" for text in warnings), *others)
    return tuple(map(formatting.one_style, notes))


def _name(approach: int) -> str:
    return f"{approach}: {APPROACHES.get(approach, 'other')}"


def _three_decimals(value: float) -> str:
    return f"{value:.3f}"


def _constant(value: object) -> str:
    if not formatting.known(value):
        return formatting.MISSING
    number = float(value)  # type: ignore[arg-type]
    small = number != 0 and not 1e-3 <= abs(number) < 1e5
    return formatting.flops(number) if small else formatting.significant(number, 4)


def _note(row: Mapping[Any, Any]) -> str:
    note = row["failure"]
    return note if isinstance(note, str) else ""


def _of(name: str, title: str, write: Callable[[object], str]) -> _Column:
    return _Column(title, (name,), lambda row: write(row[name]))


_COLUMNS = (
    _of("params", "Parameters", formatting.count),
    _of("tokens", "Tokens", formatting.count),
    _of("flops", "FLOPs", formatting.flops),
    _Column(
        "Tokens/param",
        ("tokens", "params"),
        lambda row: formatting.significant(row["tokens"] / row["params"]),
    ),
    _of("loss", "Loss", formatting.loss),
    _of("loss_stderr", "± std. error", formatting.loss),
    _of("bits_per_byte", "Bits/byte", lambda value: formatting.loss(value, 3)),
    _Column(
        "Layers × width",
        ("n_layers", "d_model"),
        lambda row: f"{row['n_layers']} × {row['d_model']}",
    ),
    _of("batch_size", "Batch", formatting.count),
    _of("peak_lr", "Peak LR", _constant),
    _of("seconds", "Time", formatting.seconds),
    _Column("Note", ("failure",), _note),
)
