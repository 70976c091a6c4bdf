"""A profile of some steps of a run, for TensorBoard and Perfetto."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from scaling_jax.errors import InputError
from scaling_jax.runs.progress_bar import Report
from scaling_jax.system.agreement import is_first

# Dispatches to skip, which still compile and fill caches, and dispatches to profile.
_SKIPPED, _TRACED = 3, 10


@contextmanager
def profiled(directory: os.PathLike | str) -> Iterator[Report]:
    """Profile ten dispatches of the run that calls the yielded function, after its first three.

    The profile is written to `plugins/profile/` in `directory`, for TensorBoard's profile plugin,
    with a `perfetto_trace.json.gz` for ui.perfetto.dev. If several processes train together, the
    first one writes it. If the run is too short to profile, a message is logged to standard error.

    Raises:
        InputError: `directory` is a file.
    """
    if Path(directory).is_file():
        raise InputError(f"{directory} is a file: give a directory for the profile")
    if not is_first():
        yield lambda step, loss, tokens_per_second: None
        return
    n_dispatches = 0

    def report(step: int, loss: float, tokens_per_second: float) -> None:
        nonlocal n_dispatches
        n_dispatches += 1
        if n_dispatches == _SKIPPED:
            jax.profiler.start_trace(os.fspath(directory), create_perfetto_trace=True)
        elif n_dispatches == _SKIPPED + _TRACED:
            jax.profiler.stop_trace()

    try:
        yield report
    finally:
        if _SKIPPED <= n_dispatches < _SKIPPED + _TRACED:
            jax.profiler.stop_trace()
    if n_dispatches <= _SKIPPED:
        print(
            f"nothing to profile: the run took {n_dispatches} dispatches, but a profile needs "
            f"{_SKIPPED + 1}; profile a longer run, or one that has not finished",
            file=sys.stderr,
        )
