"""One attempt at one run of a store: locked, recorded, never in the way of the others."""

import os
from contextlib import ExitStack

import jax

from scaling_jax.errors import InputError
from scaling_jax.study.store import StoredRun
from scaling_jax.train import Preempted, Report, Result, train_run
from scaling_jax.train.distributed import from_first, is_first
from scaling_jax.train.execution import DEFAULT, Execution

ELSEWHERE = "another process is training it"


def attempt(
    run: StoredRun,
    *,
    execution: Execution = DEFAULT,
    cache_dir: os.PathLike | str | None = None,
    report: Report | None = None,
) -> str:
    """Train `run` unless it is over or another process has it; say in a few words how it went.

    Processes that train together attempt it together; the first of them holds and records it.

    Raises:
        InputError: the run cannot be trained as it stands.
        Preempted: asked to stop; the run is saved.
        Exception: whatever it failed of, recorded, if it is trained together.
    """
    with ExitStack() as stack:
        if not from_first(lambda: stack.enter_context(run.lock())):
            return ELSEWHERE
        if from_first(lambda: run.result is None):
            try:
                train_run(
                    run.planned.config,
                    run.directory,
                    execution=execution,
                    cache_dir=cache_dir,
                    progress=False,
                    report=report,
                )
            except (InputError, Preempted):
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                run.fail(reason)
                if jax.process_count() > 1:
                    # The others may be amid a step and wait for this one: all must begin anew.
                    raise
                return f"failed: {reason}"
        if is_first():
            run.fail(None)
        return from_first(lambda: _in_words(run.result))


def _in_words(result: Result | None) -> str:
    assert result is not None
    loss = "diverged" if result.loss is None else f"loss {result.loss:.4f}"
    return f"{loss}, {sum(result.seconds.values()):.1f} s"
