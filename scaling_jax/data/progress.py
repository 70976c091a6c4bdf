"""A progress line for tokenizing a corpus, whose length is not known in advance."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn


@contextmanager
def document_progress(label: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of bytes of each document.

    The progress is drawn on standard error if `shown` and standard error is a terminal.
    """
    console = Console(file=sys.stderr)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=None)
        yield lambda n_bytes: bar.advance(task, n_bytes)
