"""Printing: tables, JSON, remarks."""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from scaling_jax.formatting import plain_spaces
from scaling_jax.text_table import Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable


def print_table(table: Table) -> None:
    """Print a table: with rules on a terminal, as aligned text elsewhere; no cell is ever cut."""
    if on_terminal():
        _print_drawn(table)
    else:
        print(table)


def print_blocks(blocks: Iterable[str | Table]) -> None:
    """Print paragraphs and tables, one below the other."""
    for block in blocks:
        print(plain_spaces(block)) if isinstance(block, str) else print_table(block)


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def drawn(table: Table) -> "RichTable":
    """The table as rich draws it."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(box=box.SIMPLE_HEAD)
    for column in table.columns:
        made.add_column(column, justify="left" if column in table.left else "right", no_wrap=True)
    for row in table.rows:
        # As `Text`, square brackets are not markup.
        made.add_row(*(Text(plain_spaces(cell)) for cell in row))
    return made


def print_json(value: Any) -> None:
    """Print strict JSON, in which numbers that are not finite are null."""
    print(json.dumps(_finite(value), indent=1, allow_nan=False, default=_python_number))


def remark(text: str) -> None:
    """Print a line on standard error."""
    print(plain_spaces(text), file=sys.stderr)


def _print_drawn(table: Table) -> None:
    from rich.console import Console
    from rich.measure import Measurement

    made = drawn(table)
    console = Console(markup=False, highlight=False)
    # A row wider than the terminal continues on the next line: cutting a number would be worse.
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


def _python_number(value: Any) -> Any:
    """Python's number for one of NumPy's."""
    return _finite(value.item())
