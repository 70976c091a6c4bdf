"""Training with less memory where the devices' memory has run out."""

import gc
from collections.abc import Callable

from scaling_jax.config import RunConfig
from scaling_jax.execution import Execution
from scaling_jax.train.mesh import chosen_here

# Shares of the devices' memory that a run's choice may count on, one after the other.
SHARES = (1.0, 0.75, 0.5)


def train_within_memory(
    train: Callable[[Execution], None],
    config: RunConfig,
    execution: Execution,
    note: Callable[[str], None],
) -> str | None:
    """Call `train` with an execution that is estimated to fit, and with ever less memory.

    The choices are those of `chosen_here`; each time that the devices' memory runs out, `note` gets
    the problem and the next choice that differs is tried. The result is None once `train` returns,
    and the last problem if the memory ran out with every choice. Other errors are raised.

    Processes that train together run the same program on devices of one kind, so they run out of
    memory together and take the same choices.
    """
    problem, tried = None, list[Execution]()
    for share in SHARES:
        chosen = chosen_here(config, execution, share=share)
        if chosen in tried:
            continue
        if problem is not None:
            note(problem)
        tried.append(chosen)
        problem = _problem(train, chosen)
        if problem is None:
            return None
        # The arrays of the attempt, which its exception kept, are freed before the next one.
        gc.collect()
    return problem


def _problem(train: Callable[[Execution], None], execution: Execution) -> str | None:
    """Call `train`; the problem if the devices' memory ran out."""
    try:
        train(execution)
    except Exception as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        choice = f"remat {execution.policy}, accumulate {execution.microbatches}"
        return f"out of device memory with {choice}: {_first_line(error)}"
    return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
