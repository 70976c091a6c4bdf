"""Tables as aligned text."""

from collections.abc import Sequence
from dataclasses import dataclass

from scaling_jax.formatting import plain_spaces


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
