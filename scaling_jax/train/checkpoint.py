"""Asynchronous, atomic checkpoints of the training state, through Orbax."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath

KEEP = 2


class Checkpoints:
    """The last few checkpoints of one run."""

    def __init__(self, checkpointer: Any) -> None:
        self._checkpointer = checkpointer
        self._newest = self.latest_step()

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        latest = self._checkpointer.latest
        return None if latest is None else latest.step

    def save(self, step: int, state: Any) -> None:
        """Copy `state` off the device and write it in the background, once for each step."""
        if step != self._newest:
            # Unforced, Orbax leaves a checkpoint out while the one before is being written.
            self._checkpointer.save_async(step, state, force=True)
            self._newest = step

    def load(self, step: int, abstract_state: Any) -> Any:
        """Read the state back with the shardings of `abstract_state`."""
        return self._checkpointer.load(step, abstract_state)

    def wait(self) -> None:
        """Return when everything saved is on disk."""
        self._checkpointer.wait()


@contextmanager
def open_checkpoints(directory: epath.Path) -> Iterator[Checkpoints]:
    """Checkpoints under `directory`; what a killed writer left half-made is ignored and removed."""
    from orbax.checkpoint import v1 as ocp

    keep = ocp.training.preservation_policies.LatestN(KEEP)
    with ocp.training.Checkpointer(
        directory, preservation_policy=keep, cleanup_tmp_directories=True
    ) as checkpointer:
        yield Checkpoints(checkpointer)
