"""The store: one directory that holds everything about a study."""

import dataclasses
import json
import math
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from etils import epath

from scaling_jax.accounting import flops
from scaling_jax.config import RunConfig, hash_of
from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.errors import InputError
from scaling_jax.formatting import preformatted
from scaling_jax.runs.module_file import record_module
from scaling_jax.runs.result import (
    RESULT_FILE,
    DamagedResultError,
    FaultyResultError,
    Result,
    read_result,
)
from scaling_jax.study.plan.design import Branch, PlannedRun, Role
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store import history
from scaling_jax.study.store.lock import hold, is_held
from scaling_jax.study.store.root import FORMAT, read_study_json, refuse_another_study
from scaling_jax.system.files import as_path, names, read_text, write_text_atomically

State = history.State

# No process trains a run in one of these states, unless the user requests it.
SETTLED: tuple[State, ...] = ("finished", "diverged", "failed", "cancelled")

# In a trunk's directory: a file for each of its branches, named after it, with its step.
BRANCHES = "branches"

_CANCELLED_FILE = "cancelled"

# What one run has left behind, apart from its plan.
_TRAINED = (RESULT_FILE, "metrics.jsonl", "evaluations.jsonl", "checkpoints")


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
        for name in _TRAINED:
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


class Store:
    """`<root>/<study>/study.json` and `runs/<run_id>/`."""

    def __init__(self, directory: epath.Path) -> None:
        self.directory = directory

    def __repr__(self) -> str:
        return f"Store({os.fspath(self.directory)!r})"

    def __str__(self) -> str:
        found = Counter(run.state for run in self.runs())
        states = ", ".join(f"{n} {state}" for state, n in found.most_common())
        return f"study {self.study['name']} in {self.directory}: {found.total()} runs ({states})"

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    @classmethod
    def create(cls, root: os.PathLike | str, study: Study) -> "Store":
        """Open or create the store of `study` under `root`, with every planned run in it.

        A changed design under the same recipe extends the store.

        Raises:
            InputError: `root` cannot be written or belongs to another study.
        """
        base = as_path(root)
        refuse_another_study(base, study)
        store = cls(base / study.name)
        planned = study.plan()
        described = json.dumps({"format": FORMAT, **study.describe()}, indent=1)
        try:
            (store.directory / "runs").mkdir(parents=True, exist_ok=True)
            write_text_atomically(store.directory / "study.json", described)
            for run in planned:
                store.add(run)
        except OSError as error:
            raise InputError(
                f"cannot write to {root} ({error.strerror or error}): choose another root"
            ) from error
        return store

    @classmethod
    def open(cls, path: os.PathLike | str) -> "Store":
        """The store at `path`: a study's directory, or a root that holds exactly one.

        Raises:
            InputError: no study there, or several.
        """
        directory = as_path(path)
        if (directory / "study.json").exists():
            read_study_json(directory)
            return cls(directory)
        found = sorted(p.parent for p in directory.glob("*/study.json"))
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise InputError(
                f"{path} must be a study's directory or hold exactly one (found {names})"
            )
        return cls.open(found[0])

    @property
    def study(self) -> dict[str, Any]:
        """The contents of `study.json`."""
        return read_study_json(self.directory)

    def place(self, planned: PlannedRun) -> StoredRun:
        """The stored form of a planned run, whether or not it is stored yet; nothing is written."""
        return StoredRun(self.directory / "runs" / planned.config.run_id, planned)

    def add(self, planned: PlannedRun) -> StoredRun:
        """Store a planned run, and return it; a run that is stored already keeps its plan."""
        run = self.place(planned)
        if planned.branch is not None and not (run.directory / "plan.json").exists():
            folder = self.directory / "runs" / planned.branch.trunk / BRANCHES
            folder.mkdir(parents=True, exist_ok=True)
            write_text_atomically(folder / run.run_id, str(planned.branch.step))
        texts = {"config.json": planned.config.to_json, "plan.json": lambda: _plan_text(planned)}
        for name, text in texts.items():
            if not (path := run.directory / name).exists():
                run.directory.mkdir(parents=True, exist_ok=True)
                write_text_atomically(path, text())
        record_module(run.directory, planned.config)
        return run

    def runs(self) -> list[StoredRun]:
        """Every run of the store, cheapest first."""
        runs = [read_run(directory) for directory in self.planned_directories()]
        return sorted(runs, key=lambda run: (run.planned.flops, run.run_id))

    def planned_directories(self) -> list[epath.Path]:
        """The directories of runs that hold a plan, in no order."""
        folder = self.directory / "runs"
        return [folder / name for name in names(folder) if _exists(folder / name / "plan.json")]

    def problems_of(self, checked: Iterable[tuple[StoredRun, CheckedResult]]) -> list[str]:
        """Why runs of the store are left out of tables and laws: a sentence for each, with its id.

        Args:
            checked: the runs of the store with their results, which have been read already.
        """
        listed = list(checked)
        found = [_problem(run, result) for run, result in listed]
        found += [_without_plan(path) for path in self._directories_without_plan(listed)]
        return sorted(sentence for sentence in found if sentence is not None)

    def _directories_without_plan(
        self, planned: Iterable[tuple[StoredRun, CheckedResult]]
    ) -> list[epath.Path]:
        folder, known = self.directory / "runs", {run.run_id for run, _ in planned}
        others = [folder / name for name in names(folder) if name not in known]
        # A directory can also hold a trunk's list of branches alone, while the store is made.
        return [path for path in others if _holds_a_run(path)]


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


_RESULT_REMEDY = "restore the file, or train the run again with run --retry-failed"
_REMEDY = (
    "restore config.json and plan.json, or delete both and run the experiment again, which writes "
    "them again"
)


def _exists(path: epath.Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Such as a loop of symbolic links.
        return False


def _holds_a_run(directory: epath.Path) -> bool:
    """Whether a run was planned or trained there, or nobody can tell."""
    try:
        found = set(names(directory))
    except OSError:
        return True
    return not found.isdisjoint({"config.json", *_TRAINED})


def _without_plan(directory: epath.Path) -> str:
    return (
        f"run {directory.name} is left out, since {directory} has no plan.json that can be read: "
        "run the experiment again, which writes it again, or move the directory away"
    )


def _problem(run: StoredRun, checked: CheckedResult) -> str | None:
    if checked.fault is not None:
        return f"run {run.run_id} is left out: {checked.fault}"
    if checked.damage is not None:
        return (
            f"run {run.run_id} counts as unfinished: {checked.damage}; the next run of the study "
            "evaluates its last checkpoint again"
        )
    return None


def _read_part(path: epath.Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): {_REMEDY}") from error


def _plan_text(planned: PlannedRun) -> str:
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
