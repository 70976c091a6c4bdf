"""A contestant is a process that measures when it is told to, so that only one ever works."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

MEASURE_SECONDS = 2.0
LEAST_WORKS = 3


def serve(facts: dict[str, Any], works: dict[str, Callable[[], int]]) -> None:
    """Write `facts` when ready; then for every line read the least seconds that each work takes.

    A work does something some times over, waits until it is done and returns how often it was.
    """
    for work in works.values():
        work()
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: fastest(work) for name, work in works.items()}), flush=True)


def fastest(work: Callable[[], int]) -> float:
    # While others measured, this process's memory went cold, as it does not in a long run.
    work()
    seconds: list[float] = []
    end = time.perf_counter() + MEASURE_SECONDS
    while time.perf_counter() < end or len(seconds) < LEAST_WORKS:
        start = time.perf_counter()
        n = work()
        seconds.append((time.perf_counter() - start) / n)
    return min(seconds)
