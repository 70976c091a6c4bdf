"""One run of a store: its plan, and what its directory shows of its progress."""

import dataclasses
import json
import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from etils import epath

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig, hash_of
from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.errors import InputError
from scaling_jax.runs.result import (
    RESULT_FILE,
    DamagedResultError,
    FaultyResultError,
    Result,
    read_result,
)
from scaling_jax.study.plan.design import Branch, PlannedRun, Role
from scaling_jax.study.store import history
from scaling_jax.study.store.lock import hold, is_held
from scaling_jax.system.files import read_text, write_text_atomically

State = history.State

# No process trains a run in one of these states, unless the user requests it.
SETTLED: tuple[State, ...] = ("finished", "diverged", "failed", "cancelled")

_CANCELLED_FILE = "cancelled"

# What one run has left behind, apart from its plan.
TRAINED_FILES = (RESULT_FILE, "metrics.jsonl", "evaluations.jsonl", "checkpoints")

_RESULT_REMEDY = "restore the file, or train the run again with run --retry-failed"
_REMEDY = (
    "restore config.json and plan.json, or delete both and run the experiment again, which writes "
    "them again"
)


class CheckedResult(NamedTuple):
    """A run's result, or what is wrong with its file; nothing while the run has no result.

    Attributes:
        result: the result, if it can be that of the run.
        fault: why the file cannot be the run's result. The run counts as failed.
        damage: why the file cannot be read. The run counts as unfinished, and its last checkpoint
            is evaluated again.
    """

    result: Result | None = None
    fault: str | None = None
    damage: str | None = None


@dataclass(frozen=True)
class StoredRun:
    """One run of a store: its plan, and what its directory shows of its progress."""

    directory: epath.Path
    planned: PlannedRun

    @property
    def run_id(self) -> str:
        """The run's identity and directory name."""
        return self.directory.name

    @property
    def result(self) -> Result | None:
        """The run's result, once it has finished or diverged; None if its file is faulty."""
        return self.check_result().result

    def check_result(self) -> CheckedResult:
        """The run's result, or what is wrong with its file."""
        try:
            return CheckedResult(read_result(self.directory, self.planned.config))
        except DamagedResultError as error:
            return CheckedResult(damage=str(error))
        except FaultyResultError as error:
            return CheckedResult(fault=f"{error}; {_RESULT_REMEDY}")

    @property
    def failure(self) -> str | None:
        """Why the run has failed for good, if it has."""
        return self.failure_given(self.check_result())

    def failure_given(self, checked: CheckedResult) -> str | None:
        """Why the run has failed for good, given its result, which has been read already."""
        if checked.result is not None or checked.fault is not None:
            return checked.fault
        last = history.last_event(self.directory)
        return last.reason if last is not None and last.state == "failed" else None

    @property
    def cancelled(self) -> bool:
        """Whether the user has cancelled the run."""
        return (self.directory / _CANCELLED_FILE).exists()

    @property
    def state(self) -> State:
        """The run's state, from the first of these that applies.

        A result; a faulty result; a process that holds the run; the user's cancelling; the run's
        history. A process that died no longer counts, whatever its last record.
        """
        return self.state_given(self.check_result())

    def state_given(self, checked: CheckedResult) -> State:
        """The run's state, given its result, which has been read already."""
        if checked.result is not None:
            return checked.result.status
        if checked.fault is not None:
            return "failed"
        last = history.last_state(self.directory)
        if is_held(self.directory):
            return "running" if last == "running" else "leased"
        if self.cancelled:
            return "cancelled"
        return "failed" if last == "failed" else "planned"

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the run, so that no other process trains it; False if another process holds it."""
        with hold(self.directory) as mine:
            yield mine

    def set_aside(self) -> None:
        """Move what training has left in the run's directory into a folder there.

        Raises:
            OSError: it cannot be moved.
        """
        aside = self.directory / f"set-aside-{uuid.uuid4().hex[:8]}"
        for name in TRAINED_FILES:
            if (self.directory / name).exists():
                aside.mkdir(exist_ok=True)
                (self.directory / name).rename(aside / name)

    def cancel(self) -> None:
        """Mark the run as not to be trained; a process that trains it alone stops soon.

        Raises:
            InputError: the run has ended or is cancelled already.
            OSError: the mark cannot be written.
        """
        state = self.state
        if state in ("finished", "diverged", "cancelled"):
            raise InputError(
                f"run {self.run_id} is {state}: only a run that has not ended can be cancelled"
            )
        write_text_atomically(self.directory / _CANCELLED_FILE, "")
        history.record(self.directory, "cancelled")

    def restore(self) -> None:
        """Undo `cancel`.

        Raises:
            InputError: the run is not cancelled.
            OSError: the change cannot be written.
        """
        if not self.cancelled:
            raise InputError(f"run {self.run_id} is {self.state}, not cancelled: nothing to undo")
        history.record(self.directory, "planned", reason="no longer cancelled")
        (self.directory / _CANCELLED_FILE).unlink()


def read_run(directory: epath.Path) -> StoredRun:
    """The run whose plan lies in `directory`.

    Raises:
        InputError: the files are damaged, or belong to another run than the directory names.
    """
    texts = {name: _read_part(directory / name) for name in ("config.json", "plan.json")}
    try:
        config = RunConfig.from_json(texts["config.json"])
        plan = from_dict(_Plan, parsed_json(texts["plan.json"], "plan.json"), "plan.json")
    except InputError as error:
        raise InputError(f"the files of {directory} are damaged ({error}): {_REMEDY}") from error
    given = {f.name: getattr(plan, f.name) for f in dataclasses.fields(plan) if f.name != "cell"}
    planned = PlannedRun(config, **given)
    if hash_of(texts["config.json"]) != directory.name != config.run_id:
        raise InputError(
            f"{directory / 'config.json'} was changed: it now describes a run {config.run_id}. "
            f"Plan that run in the experiment, and here {_REMEDY}"
        )
    return StoredRun(directory, planned)


@dataclass(frozen=True)
class _Plan:
    """The contents of `plan.json`: the fields of a `PlannedRun` but its configuration.

    Plans that earlier versions stored lack the fields that have a default.

    Attributes:
        cell: the run's size as numbers, for readers of the store without this package.
    """

    budget: float
    role: Role
    convention: flops.Convention
    branch: Branch | None
    wanted_tokens: float | None = None
    variation: str | None = None
    cell: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.budget < math.inf:
            raise InputError(f"plan.json.budget {self.budget} must be positive and finite")


def _read_part(path: epath.Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): {_REMEDY}") from error


def plan_text(planned: PlannedRun) -> str:
    """What was planned, as JSON. Parameters are in every count, since a budget can be in each."""
    counts = flops.count_params(planned.config.shape)
    cell = {
        "params": counts.total,
        "params_non_embedding": counts.non_embedding,
        "params_active": counts.active,
        "tokens": planned.config.tokens,
        "flops": planned.flops,
    }
    given = {
        f.name: getattr(planned, f.name) for f in dataclasses.fields(_Plan) if f.name != "cell"
    }
    return json.dumps(dataclasses.asdict(_Plan(**given, cell=cell)))
