"""Asynchronous, atomic checkpoints of the training state, through Orbax."""

import sys
import textwrap
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath

from scaling_jax.errors import InputError
from scaling_jax.system.agreement import from_first, gathered, is_first
from scaling_jax.train.digest import digest

KEEP = 2
CHECKPOINTS = "checkpoints"

_DIGEST = "digest"
# Characters of what a library says of a file.
_LONGEST_PROBLEM = 200


class UnusableCheckpointsError(InputError):
    """There are checkpoints of a run, and none from which it can go on."""


class Checkpoints:
    """The last few checkpoints of one run."""

    def __init__(self, checkpointer: Any) -> None:
        self._checkpointer = checkpointer
        self._newest = self.latest_step()

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        latest = self._checkpointer.latest
        return None if latest is None else latest.step

    def has(self, step: int) -> bool:
        """Whether the newest checkpoint, perhaps still being written, is that of `step`."""
        return step == self._newest

    def save(self, step: int, state: Any) -> None:
        """Copy `state` off the device and write it in the background, once for each step."""
        if not self.has(step):
            # Unforced, Orbax leaves a checkpoint out while the one before is being written.
            facts = {_DIGEST: digest(state)}
            self._checkpointer.save_async(step, state, force=True, custom_metadata=facts)
            self._newest = step

    def restore(self, abstract_state: Any, at_most: int | None = None) -> tuple[int, Any] | None:
        """Step and state of the newest checkpoint, laid out as `abstract_state`; None without one.

        One that cannot be read, or of a step beyond `at_most`, is said, removed, and the one
        before it taken.

        Raises:
            UnusableCheckpointsError: there are some, and none does.
        """
        problems: list[tuple[int, str]] = []
        for step in sorted((found.step for found in self._checkpointer.checkpoints), reverse=True):
            if at_most is not None and step > at_most:
                problems.append((step, "the metrics of steps before it are lost"))
                continue
            state, problem = self._read(step, abstract_state)
            if problem is None:
                self._drop(problems, instead=step)
                self._newest = step
                return step, state
            problems.append((step, problem))
        if problems:
            step, problem = problems[0]
            raise UnusableCheckpointsError(
                f"no checkpoint in {self._checkpointer.directory} can be continued from; of step "
                f"{step}: {problem}. Restore one, or delete the run's directory to train it anew"
            )
        return None

    def _read(self, step: int, abstract_state: Any) -> tuple[Any, str | None]:
        path = self._checkpointer.directory / str(step)
        return _read(path, lambda: self.load(step, abstract_state))

    def _drop(self, damaged: list[tuple[int, str]], instead: int) -> None:
        for step, problem in damaged:
            if is_first():
                print(
                    f"the checkpoint of step {step} in {self._checkpointer.directory} is of no use "
                    f"({problem}) and removed; continuing from step {instead}, {step - instead} "
                    "steps earlier",
                    file=sys.stderr,
                )
            self._checkpointer.delete(step)

    def load(self, step: int, abstract_state: Any) -> Any:
        """Read the state back with the shardings of `abstract_state`."""
        return self._checkpointer.load(step, abstract_state)

    def wait(self) -> None:
        """Return when everything saved is on disk."""
        self._checkpointer.wait()


@contextmanager
def open_checkpoints(directory: epath.Path, kept: Collection[int] = ()) -> Iterator[Checkpoints]:
    """Checkpoints under `directory`; what a killed writer left half-made is ignored and removed.

    Those of the steps `kept` stay, however many newer ones there are.
    """
    from orbax.checkpoint import v1 as ocp

    policies = ocp.training.preservation_policies
    keep = policies.AnyPreservationPolicy([policies.LatestN(KEEP), policies.CustomSteps(kept)])
    with ocp.training.Checkpointer(
        directory, preservation_policy=keep, cleanup_tmp_directories=True
    ) as checkpointer:
        yield Checkpoints(checkpointer)


def load_checkpoint(run: epath.Path, step: int, abstract_state: Any) -> tuple[Any, str | None]:
    """The state of the run in `run` at a step that it keeps, or why it cannot be read.

    Touches nothing there: the run may be under way in another process.
    """
    from orbax.checkpoint import v1 as ocp

    path = run / CHECKPOINTS / str(step)
    return _read(path, lambda: ocp.load(path, abstract_state))


def _read(path: epath.Path, load: Callable[[], Any]) -> tuple[Any, str | None]:
    """The state that `load` reads from a checkpoint, or why a process could not read it."""
    state = written = problem = None
    try:
        state = load()
        written = _written_digest(path) if is_first() else None
    except Exception as error:  # Whatever a library says of a damaged file.
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise  # Which says nothing of the file.
        first_line = next(iter(str(error).splitlines()), "")
        problem = textwrap.shorten(f"{type(error).__name__}: {first_line}", _LONGEST_PROBLEM)
    problem = next((said for said in gathered(problem) if said is not None), None)
    # All processes compute it, as each has but a part of the state.
    if problem is None and from_first(lambda: written) not in (None, digest(state)):
        problem = "what it holds is not what was written"
    return state, problem


def _written_digest(path: epath.Path) -> int | None:
    """None of a checkpoint from before there were any."""
    from orbax.checkpoint import v1 as ocp

    return (ocp.metadata(path).custom_metadata or {}).get(_DIGEST)
