"""Printing: tables, JSON, remarks."""

import sys
from collections.abc import Iterable
from typing import Any

from scaling_jax.formatting import plain_spaces
from scaling_jax.strict_json import strict_json
from scaling_jax.text_table import Table


def print_table(table: Table) -> None:
    """Print a table: with rules on a terminal, as aligned text elsewhere; no cell is ever cut."""
    if on_terminal():
        table.print()
    else:
        print(table)


def print_blocks(blocks: Iterable[str | Table]) -> None:
    """Print paragraphs and tables, one below the other."""
    for block in blocks:
        print(plain_spaces(block)) if isinstance(block, str) else print_table(block)


def print_paragraphs(blocks: Iterable[str | Table]) -> None:
    """Print paragraphs and tables with a blank line between them."""
    for number, block in enumerate(blocks):
        if number:
            print()
        print_blocks([block])


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    """Print strict JSON, in which numbers that are not finite are null."""
    print(strict_json(value))


def remark(text: str) -> None:
    """Print a line on standard error, unless the text is empty."""
    if text:
        print(plain_spaces(text), file=sys.stderr)
