"""Asynchronous, atomic checkpoints of the training state, through Orbax."""

import os
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath

from scaling_jax.errors import InputError
from scaling_jax.system.agreement import from_first, gathered, is_first
from scaling_jax.system.files import absolute
from scaling_jax.train.digest import digest
from scaling_jax.train.s3_checkpoints import enable_s3

KEEP = 2
CHECKPOINTS = "checkpoints"

_DIGEST = "digest"
# Characters of a library's error message that a report of a damaged checkpoint quotes.
_LONGEST_PROBLEM = 200


class UnusableCheckpointsError(InputError):
    """A run has checkpoints, but it cannot continue from any of them."""


class Checkpoints:
    """The most recent checkpoints of one run."""

    def __init__(self, checkpointer: Any) -> None:
        self._checkpointer = checkpointer
        self._newest = self.latest_step()

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint; None without a checkpoint."""
        latest = self._checkpointer.latest
        return None if latest is None else latest.step

    def has(self, step: int) -> bool:
        """Whether the newest checkpoint, which may still be being written, is of `step`."""
        return step == self._newest

    def save(self, step: int, state: Any) -> None:
        """Copy `state` from the device and write it in the background, unless `step` is saved."""
        if not self.has(step):
            # Without `force` Orbax skips a checkpoint while it writes the previous one.
            metadata = {_DIGEST: digest(state)}
            self._checkpointer.save_async(step, state, force=True, custom_metadata=metadata)
            self._newest = step

    def restore(self, abstract_state: Any, at_most: int | None = None) -> tuple[int, Any] | None:
        """Step and state of the newest usable checkpoint; None without a checkpoint.

        The state has the shardings of `abstract_state`. A checkpoint that cannot be read, or whose
        step is after `at_most`, is logged to standard error and deleted, and the previous one is
        tried.

        Raises:
            UnusableCheckpointsError: no checkpoint is usable.
        """
        problems: list[tuple[int, str]] = []
        for step in sorted((found.step for found in self._checkpointer.checkpoints), reverse=True):
            if at_most is not None and step > at_most:
                problems.append((step, "the metrics of steps before it are lost"))
                continue
            state, problem = self._read(step, abstract_state)
            if problem is None:
                self._drop(problems, usable=step)
                self._newest = step
                return step, state
            problems.append((step, problem))
        if problems:
            step, problem = problems[0]
            raise UnusableCheckpointsError(
                f"no checkpoint in {self._checkpointer.directory} is usable; that of step {step}: "
                f"{problem}. Restore one from a backup, or delete the run's directory to train it "
                "from its first step"
            )
        return None

    def _read(self, step: int, abstract_state: Any) -> tuple[Any, str | None]:
        path = self._checkpointer.directory / str(step)
        return _read(path, lambda: self.load(step, abstract_state))

    def _drop(self, damaged: list[tuple[int, str]], usable: int) -> None:
        for step, problem in damaged:
            if is_first():
                print(
                    f"deleted the unusable checkpoint of step {step} in "
                    f"{self._checkpointer.directory} ({problem}); continuing from step {usable}, "
                    f"{step - usable} steps earlier",
                    file=sys.stderr,
                )
            self._checkpointer.delete(step)

    def load(self, step: int, abstract_state: Any) -> Any:
        """The state saved at `step`, with the shardings of `abstract_state`."""
        return self._checkpointer.load(step, abstract_state)

    def wait(self) -> None:
        """Wait until every checkpoint is on disk."""
        self._checkpointer.wait()


@contextmanager
def open_checkpoints(directory: epath.Path, kept: Collection[int] = ()) -> Iterator[Checkpoints]:
    """The checkpoints in `directory`; incomplete ones of a killed process are deleted.

    Checkpoints of the steps `kept` are never deleted; of the others the newest `KEEP` are kept.
    """
    from orbax.checkpoint import v1 as ocp

    policies = ocp.training.preservation_policies
    keep = policies.AnyPreservationPolicy([policies.LatestN(KEEP), policies.CustomSteps(kept)])
    with ocp.training.Checkpointer(
        _for_orbax(directory), preservation_policy=keep, cleanup_tmp_directories=True
    ) as checkpointer:
        yield Checkpoints(checkpointer)


def load_checkpoint(run: epath.Path, step: int, abstract_state: Any) -> tuple[Any, str | None]:
    """The state in the checkpoint of `step` of the run in the directory `run`, or a problem.

    The result is (state, None), or a problem that says why the checkpoint cannot be read. Nothing
    is written, because another process may be training the run.
    """
    from orbax.checkpoint import v1 as ocp

    path = _for_orbax(run) / CHECKPOINTS / str(step)
    return _read(path, lambda: ocp.load(path, abstract_state))


def _for_orbax(path: epath.Path) -> epath.Path:
    # Orbax refuses relative paths.
    path = absolute(path)
    if os.fspath(path).startswith("s3://"):
        enable_s3()
    return path


def _read(path: epath.Path, load: Callable[[], Any]) -> tuple[Any, str | None]:
    """The state that `load` reads and None, or the problem of the first process that has one."""
    state = written = problem = None
    try:
        state = load()
        written = _written_digest(path) if is_first() else None
    except Exception as error:  # Libraries raise many types for a damaged file.
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise  # The file may be intact.
        first_line = next(iter(str(error).splitlines()), "")
        problem = textwrap.shorten(f"{type(error).__name__}: {first_line}", _LONGEST_PROBLEM)
    problem = next((text for text in gathered(problem) if text is not None), None)
    # All processes compute the digest, because each of them holds only a part of the state.
    if problem is None and from_first(lambda: written) not in (None, digest(state)):
        problem = "its content is not what was written"
    return state, problem


def _written_digest(path: epath.Path) -> int | None:
    # Checkpoints of earlier versions of this package have no digest.
    from orbax.checkpoint import v1 as ocp

    return (ocp.metadata(path).custom_metadata or {}).get(_DIGEST)
