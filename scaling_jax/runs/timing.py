"""Where the wall time of a run went."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds spent in named parts."""

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
        """Seconds by part of one of `n_runs` side by side, to the millisecond."""
        return {name: round(value / n_runs, 3) for name, value in self.seconds.items()}
