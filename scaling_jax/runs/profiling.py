"""A trace of some steps of a run, for TensorBoard and Perfetto."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from scaling_jax.errors import InputError
from scaling_jax.runs.progress import Report
from scaling_jax.system.agreement import is_first

# The first dispatches still compile and fill caches.
_SKIPPED, _TRACED = 3, 10


@contextmanager
def profiled(directory: os.PathLike | str) -> Iterator[Report]:
    """Trace ten dispatches of the run that is told of the yielded report, past its first three.

    Writes what TensorBoard's profile plugin reads under `plugins/profile/`, with a
    `perfetto_trace.json.gz` for ui.perfetto.dev beside it. Of processes that train together the
    first one writes.

    A run that ends before there is anything to trace is said to on standard error.

    Raises:
        InputError: `directory` is a file.
    """
    if Path(directory).is_file():
        raise InputError(f"{directory} is a file: give a directory for the profile")
    if not is_first():
        yield lambda step, loss, tokens_per_second: None
        return
    seen = 0

    def report(step: int, loss: float, tokens_per_second: float) -> None:
        nonlocal seen
        seen += 1
        if seen == _SKIPPED:
            jax.profiler.start_trace(os.fspath(directory), create_perfetto_trace=True)
        elif seen == _SKIPPED + _TRACED:
            jax.profiler.stop_trace()

    try:
        yield report
    finally:
        if _SKIPPED <= seen < _SKIPPED + _TRACED:
            jax.profiler.stop_trace()
    if seen <= _SKIPPED:
        print(
            f"nothing to profile: the run took {seen} dispatches, of {_SKIPPED + 1} needed; "
            "profile a longer run, or one that is not over yet",
            file=sys.stderr,
        )
