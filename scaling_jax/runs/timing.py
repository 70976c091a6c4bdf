"""Measurement of a run's wall time by part."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Accumulates the seconds spent in named parts of a program."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the block's duration to `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start

    def shares(self, n_runs: int) -> dict[str, float]:
        """Seconds by part for each of `n_runs` runs side by side, rounded to milliseconds."""
        return {name: round(value / n_runs, 3) for name, value in self.seconds.items()}
