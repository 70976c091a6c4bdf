"""The progress bar of one run: loss, speed, time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[int, float, float], None]


@contextmanager
def progress_bar(
    label: str, steps: int, shown: bool, listener: Report | None, start: int
) -> Iterator[Report]:
    """Yield a function to call with (step, loss, tokens/s), which draws a bar if `shown`.

    The bar is drawn on standard error if that is a terminal. The function also calls `listener`
    with the same arguments.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[speed]} tokens/s"),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task(label, total=steps, completed=start, loss="…", speed="…")

        def report(step: int, loss: float, tokens_per_second: float) -> None:
            bar.update(task, completed=step, loss=f"{loss:.4f}", speed=f"{tokens_per_second:,.0f}")
            if listener is not None:
                listener(step, loss, tokens_per_second)

        yield report
