"""Tables as aligned text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scaling_jax.formatting import plain_spaces

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """A table of text, which prints with aligned columns.

    >>> print(Table(("run", "loss"), [("a", "2.5"), ("long", "12.25")], left=("run",)))
    run    loss
    a       2.5
    long  12.25

    Attributes:
        columns: names of the columns.
        rows: cells of each row, in the order of the columns.
        left: columns that hold words and are aligned left; numbers are aligned right.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [tuple(map(plain_spaces, row)) for row in self.rows]
        return "\n".join(aligned(self.columns, rows, self.left))

    def drawn(self) -> "RichTable":
        """The table as rich draws it."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        made = RichTable(box=box.SIMPLE_HEAD)
        for column in self.columns:
            justify: Literal["left", "right"] = "left" if column in self.left else "right"
            made.add_column(column, justify=justify, no_wrap=True)
        for row in self.rows:
            # As `Text`, square brackets are not markup.
            made.add_row(*(Text(plain_spaces(cell)) for cell in row))
        return made

    def print(self) -> None:
        """Print the table with rules, as a terminal shows it; no cell is ever cut."""
        from rich.console import Console
        from rich.measure import Measurement

        made = self.drawn()
        console = Console(markup=False, highlight=False)
        # A row wider than the terminal continues on the next line: cutting a number is worse.
        needed = Measurement.get(console, console.options.update(width=10_000), made).maximum
        console.width = max(console.width, needed)
        console.print(made, soft_wrap=True)


def aligned(
    columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: tuple[str, ...] = ()
) -> list[str]:
    """Lines of text, the columns' names first; each column is as wide as its widest cell."""
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
