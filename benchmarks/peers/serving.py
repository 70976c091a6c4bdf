"""A contestant is a process that measures when it is told to, so that only one ever works."""

import json
import sys
import time
from collections.abc import Callable

MEASURE_SECONDS = 1.0


def serve(facts: dict[str, float], works: dict[str, Callable[[], int]]) -> None:
    """Write `facts` when ready; then for every line read the least seconds that each work takes.

    A work does something some times over, waits until it is done and returns how often it was.
    """
    for work in works.values():
        work()
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: fastest(work) for name, work in works.items()}), flush=True)


def fastest(work: Callable[[], int]) -> float:
    least, end = float("inf"), time.perf_counter() + MEASURE_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        n = work()
        least = min(least, (time.perf_counter() - start) / n)
    return least
