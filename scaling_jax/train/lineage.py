"""Runs that begin from a checkpoint of another run, which they share their first steps with.

Until its cooldown begins, a run under the schedule `wsd` is the same for every horizon. So the
short horizons can be branches of the longest, their trunk.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etils import epath

from scaling_jax.runs.metrics import copy_metrics, steps_without_gap
from scaling_jax.system.agreement import from_first, is_first
from scaling_jax.system.files import in_bucket, read_text, write_text_atomically
from scaling_jax.train.checkpoint import CHECKPOINTS, load_checkpoint

_ORIGIN_FILE = "origin.json"
# Orbax's mark of a checkpoint that is whole, in a bucket too, which cannot rename.
_WHOLE = "commit_success.txt"


@dataclass(frozen=True)
class Origin:
    """The directory of another run and the step of the checkpoint there to begin from."""

    directory: epath.Path
    step: int

    @property
    def is_there(self) -> bool:
        """Whether the checkpoint is there and whole."""
        return (self.directory / CHECKPOINTS / str(self.step) / _WHOLE).exists()

    def release(self) -> None:
        """Delete the checkpoint. Only for a run that is over, since one under way has it open."""
        path = self.directory / CHECKPOINTS / str(self.step)
        if in_bucket(path):
            if path.exists():
                path.rmtree()
        else:
            shutil.rmtree(Path(path), ignore_errors=True)


@dataclass(frozen=True)
class Lineage:
    """What a run has to do with others.

    Attributes:
        origin: where it begins; None for a run that begins at its first step.
        kept: steps whose checkpoints others begin from.
    """

    origin: Origin | None = None
    kept: frozenset[int] = frozenset()


SINGLE = Lineage()


def begin_from(origin: Origin, directory: epath.Path, abstract_state: Any) -> Any:
    """The state at the origin, for the run in `directory`, which takes over the curve up to there.

    None where the checkpoint or the curve is not there or damaged, which is said: the run is then
    trained from its first step, to the same end.
    """
    state, problem = None, from_first(lambda: _missing(origin))
    if problem is None:
        state, problem = load_checkpoint(origin.directory, origin.step, abstract_state)
    if is_first():
        if problem is None:
            copy_metrics(origin.directory, directory, origin.step)
            fact = {"run": origin.directory.name, "step": origin.step}
            write_text_atomically(directory / _ORIGIN_FILE, json.dumps(fact))
        else:
            (directory / _ORIGIN_FILE).unlink(missing_ok=True)
            print(
                f"{directory.name}: cannot begin from step {origin.step} of its trunk "
                f"{origin.directory.name} ({problem}); training from the first step",
                file=sys.stderr,
            )
    return None if problem else state


def _missing(origin: Origin) -> str | None:
    if not origin.is_there:
        return "the checkpoint is gone"
    if steps_without_gap(origin.directory) < origin.step:
        return "the metrics of steps before it are lost"
    return None


def begun_at(directory: epath.Path) -> int:
    """The step that the run in `directory` began at; 0 unless it is a branch of another."""
    try:
        return int(json.loads(read_text(directory / _ORIGIN_FILE))["step"])
    except FileNotFoundError:
        return 0
