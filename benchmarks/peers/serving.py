"""A contestant is a process that measures when it is told to, so that only one ever works."""

import sys
import time
from collections.abc import Callable

MEASURE_SECONDS = 1.0


def serve(advance: Callable[[], int]) -> None:
    """For every line read, advance for about a second and write seconds per step.

    `advance` takes some steps, waits for their losses and returns how many they were.
    """
    advance()
    print("ready", flush=True)
    for _ in sys.stdin:
        fastest, end = float("inf"), time.perf_counter() + MEASURE_SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            steps = advance()
            fastest = min(fastest, (time.perf_counter() - start) / steps)
        print(fastest, flush=True)
