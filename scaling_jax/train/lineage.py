"""Runs that start from a checkpoint of another run, with which they share their first steps.

Until its cooldown, a run under the schedule `wsd` does not depend on its length. So shorter runs
(branches) can start from checkpoints of the longest one (their trunk).
"""

import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from etils import epath

from scaling_jax.config.strict import parsed_json, whole_number
from scaling_jax.errors import InputError
from scaling_jax.runs.curve_files import (
    copy_metrics,
    read_evaluations,
    read_noise,
    steps_without_gap,
)
from scaling_jax.runs.held_out import evaluated_without_gap
from scaling_jax.system.agreement import from_first, is_first
from scaling_jax.system.buckets import in_bucket
from scaling_jax.system.files import read_text, write_text_atomically
from scaling_jax.train.checkpoint import CHECKPOINTS, load_checkpoint

_ORIGIN_FILE = "origin.json"
# Orbax writes this file into every complete checkpoint, also in buckets, which cannot rename.
_WHOLE = "commit_success.txt"


@dataclass(frozen=True)
class Origin:
    """The checkpoint that a run starts from: the directory of another run, and a step."""

    directory: epath.Path
    step: int

    @property
    def is_there(self) -> bool:
        """Whether the checkpoint exists and is complete."""
        return (self.directory / CHECKPOINTS / str(self.step) / _WHOLE).exists()

    def release(self) -> None:
        """Delete the checkpoint. Call it only when the other run has ended and closed it."""
        path = self.directory / CHECKPOINTS / str(self.step)
        if in_bucket(path):
            if path.exists():
                path.rmtree()
        else:
            shutil.rmtree(Path(path), ignore_errors=True)


@dataclass(frozen=True)
class Lineage:
    """The checkpoints that a run shares with other runs.

    Attributes:
        origin: the checkpoint that the run starts from; None for a run that starts at step 0.
        kept: steps of this run whose checkpoints other runs start from.
    """

    origin: Origin | None = None
    kept: frozenset[int] = frozenset()


SINGLE = Lineage()


def begin_from(
    origin: Origin,
    directory: epath.Path,
    abstract_state: Any,
    evaluated: Iterable[int] = (),
    measured: Iterable[int] = (),
) -> Any:
    """The state at the origin, for the run in `directory`; its curves up to there are copied.

    The result is None if the checkpoint or a curve is missing or damaged, which is logged to
    standard error. The run is then trained from its first step, with the same result. The run is
    evaluated after the steps `evaluated`, and its gradient noise is measured after `measured`.
    """
    state, problem = None, from_first(lambda: _missing(origin, evaluated, measured))
    if problem is None:
        state, problem = load_checkpoint(origin.directory, origin.step, abstract_state)
    if is_first():
        if problem is None:
            copy_metrics(origin.directory, directory, origin.step)
            stored = {"run": origin.directory.name, "step": origin.step}
            write_text_atomically(directory / _ORIGIN_FILE, json.dumps(stored))
        else:
            (directory / _ORIGIN_FILE).unlink(missing_ok=True)
            print(
                f"{directory.name}: cannot begin from step {origin.step} of its trunk "
                f"{origin.directory.name} ({problem}); training from the first step",
                file=sys.stderr,
            )
    return None if problem else state


def start_from(origin: Origin | None, directory: epath.Path, abstract_state: Any) -> Any:
    """The state of the run in `directory` at its step 0, which is the state at the origin.

    Raises:
        InputError: there is no origin, or its checkpoint is missing or damaged.
    """
    state, problem = None, "its directory was not given"
    if origin is not None:
        problem = from_first(lambda: None if origin.is_there else "the checkpoint is missing")
    if origin is not None and problem is None:
        state, problem = load_checkpoint(origin.directory, origin.step, abstract_state)
    if problem is not None:
        where = f"step {origin.step} of {origin.directory.name}" if origin else "another run"
        raise InputError(
            f"{directory.name} starts from a checkpoint of {where} ({problem}): train both as runs "
            "of one study, which keeps the checkpoint"
        )
    return {**state, "step": jnp.zeros_like(state["step"])}


def _missing(origin: Origin, evaluated: Iterable[int], measured: Iterable[int]) -> str | None:
    if not origin.is_there:
        return "the checkpoint is missing"
    if steps_without_gap(origin.directory) < origin.step:
        return "the metrics of steps before it are lost"
    if evaluated_without_gap(read_evaluations(origin.directory), evaluated) < origin.step:
        return "held-out losses of steps before it are lost"
    if evaluated_without_gap(read_noise(origin.directory), measured) < origin.step:
        return "measurements of the gradient noise before it are lost"
    return None


def begun_at(directory: epath.Path) -> int:
    """The step at which the run in `directory` started; 0 unless it is a branch of another run.

    Raises:
        InputError: the file that says so is damaged.
    """
    path = directory / _ORIGIN_FILE
    try:
        stored = parsed_json(read_text(path), "its text")
        return whole_number("step", stored["step"])
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}): restore it, or delete {directory} and run the "
            "experiment again, which trains the run again"
        ) from error
