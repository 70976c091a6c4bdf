"""Printing: tables, JSON, remarks."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text

HOURS_ONLY = 48


@dataclass(frozen=True)
class Table:
    """Columns of text; `left` names those that hold words, the others hold numbers."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: tuple[str, ...] = ()


def print_table(table: Table) -> None:
    """Print a table: drawn on a terminal, plain aligned text elsewhere; no cell is ever cut."""
    if on_terminal():
        _print_drawn(table)
        return
    print("\n".join(aligned(table.columns, _plain_rows(table), table.left)))


def on_terminal() -> bool:
    """Whether a person sees standard output as it is drawn."""
    return sys.stdout.isatty()


def drawn(table: Table) -> "RichTable":
    """The table as rich draws it."""
    from rich import box
    from rich.table import Table as RichTable

    made = RichTable(box=box.SIMPLE_HEAD)
    for column in table.columns:
        made.add_column(column, justify="left" if column in table.left else "right", no_wrap=True)
    for row in _plain_rows(table):
        made.add_row(*map(_unmarked, row))
    return made


def aligned(
    columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: tuple[str, ...] = ()
) -> list[str]:
    """Lines of plain text, of the columns' names and the rows, each column as wide as it needs."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    lines = []
    for row in (columns, *rows):
        cells = zip(row, widths, columns, strict=True)
        line = "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for cell, width, column in cells
        )
        lines.append(line.rstrip())
    return lines


def print_json(value: Any) -> None:
    """Print strict JSON: what is not finite becomes null."""
    print(json.dumps(_finite(value), indent=1, allow_nan=False, default=_plain_scalar))


def remark(text: str) -> None:
    """Say something on standard error."""
    print(plain(text), file=sys.stderr)


def plain(text: str) -> str:
    """Text with ordinary spaces, to be copied and searched."""
    return text.replace("\u00a0", " ")


def duration(seconds: float) -> str:
    """A duration; whole hours where it is long."""
    from scaling_jax import formatting

    if seconds < 1:
        return "< 1 s"
    if seconds >= HOURS_ONLY * 3600:
        return f"{seconds / 3600:,.0f} h"
    return formatting.seconds(seconds)


def _plain_rows(table: Table) -> list[tuple[str, ...]]:
    return [tuple(plain(cell) for cell in row) for row in table.rows]


def _unmarked(text: str) -> "Text":
    """Text in which square brackets mean nothing."""
    from rich.text import Text

    return Text(text)


def _print_drawn(table: Table) -> None:
    from rich.console import Console
    from rich.measure import Measurement

    made = drawn(table)
    console = Console(markup=False, highlight=False)
    # Wider than the terminal, it runs on in the next line: cutting a number would be worse.
    needed = Measurement.get(console, console.options.update(width=10_000), made).maximum
    console.width = max(console.width, needed)
    console.print(made, soft_wrap=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _plain_scalar(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return _finite(value.item())
