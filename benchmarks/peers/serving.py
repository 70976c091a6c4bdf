"""A contestant is a process that measures on command, so that only one process works at a time."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

MEASURE_SECONDS = 2.0
LEAST_WORKS = 3


def serve(facts: dict[str, Any], works: dict[str, Callable[[], int]]) -> None:
    """Print `facts` when ready, then for each input line the least seconds of each work.

    A work repeats something, waits until it is done, and returns the number of repetitions.
    """
    for work in works.values():
        work()
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: fastest(work) for name, work in works.items()}), flush=True)


def fastest(work: Callable[[], int]) -> float:
    # While others measured, this process's data left the caches, unlike in a long run.
    work()
    seconds: list[float] = []
    end = time.perf_counter() + MEASURE_SECONDS
    while time.perf_counter() < end or len(seconds) < LEAST_WORKS:
        start = time.perf_counter()
        n = work()
        seconds.append((time.perf_counter() - start) / n)
    return min(seconds)
