"""The store: one directory that holds everything about a study."""

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from etils import epath

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig, hash_of
from scaling_jax.errors import InputError
from scaling_jax.runs.result import Result, read_result
from scaling_jax.study.plan.design import Branch, PlannedRun
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store import history
from scaling_jax.study.store.lock import hold, is_held
from scaling_jax.study.store.root import FORMAT, read_study_json, refuse_another_study
from scaling_jax.system.files import names, read_text, write_text_atomically

State = history.State

# No process trains a run in one of these states, unless the user requests it.
SETTLED: tuple[State, ...] = ("finished", "diverged", "failed", "cancelled")

# In a trunk's directory: a file for each of its branches, named after it, with its step.
BRANCHES = "branches"

_CANCELLED_FILE = "cancelled"


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
        """The run's result, once it has finished or diverged."""
        return read_result(self.directory)

    @property
    def failure(self) -> str | None:
        """Why the run has failed for good, if it has."""
        last = history.last_event(self.directory)
        return last.reason if last is not None and last.state == "failed" else None

    @property
    def cancelled(self) -> bool:
        """Whether the user has cancelled the run."""
        return (self.directory / _CANCELLED_FILE).exists()

    @property
    def state(self) -> State:
        """The run's state, from the first of these that applies.

        A result; a process that holds the run; the user's cancelling; the run's history. A process
        that died no longer counts, whatever its last record.
        """
        return self.state_given(self.result)

    def state_given(self, result: Result | None) -> State:
        """The run's state, given its result, which has been read already."""
        if result is not None:
            return result.status
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

    @classmethod
    def create(cls, root: os.PathLike | str, study: Study) -> "Store":
        """Open or create the store of `study` under `root`, with every planned run in it.

        A changed design under the same recipe extends the store.

        Raises:
            InputError: `root` cannot be written or belongs to another study.
        """
        base = epath.Path(root)
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
        directory = epath.Path(path)
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
        return run

    def runs(self) -> list[StoredRun]:
        """Every run of the store, cheapest first."""
        folder = self.directory / "runs"
        runs = [
            read_run(folder / name)
            for name in names(folder)
            if (folder / name / "plan.json").exists()
        ]
        return sorted(runs, key=lambda run: (run.planned.flops, run.run_id))


def read_run(directory: epath.Path) -> StoredRun:
    """The run whose plan lies in `directory`.

    Raises:
        InputError: the files are damaged, or belong to another run than the directory names.
    """
    texts = {name: _read_part(directory / name) for name in ("config.json", "plan.json")}
    try:
        config = RunConfig.from_json(texts["config.json"])
        plan = json.loads(texts["plan.json"])
        given = {name: plan[name] for name in _PLANNED}
        given |= {name: plan.get(name) for name in _PLANNED_LATER}
        branch = Branch(**plan["branch"]) if plan["branch"] else None
        planned = PlannedRun(config, **given, branch=branch)
    except (InputError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the files of {directory} are damaged ({error}): {_REMEDY}") from error
    if hash_of(texts["config.json"]) != directory.name != config.run_id:
        raise InputError(
            f"{directory / 'config.json'} was changed: it now describes a run {config.run_id}. "
            f"Plan that run in the experiment, and here {_REMEDY}"
        )
    return StoredRun(directory, planned)


_PLANNED = ("budget", "role", "convention")
# Plans that were stored before these existed lack them.
_PLANNED_LATER = ("wanted_tokens", "variation")
_REMEDY = (
    "restore config.json and plan.json, or delete both and run the experiment again, which writes "
    "them again"
)


def _read_part(path: epath.Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): {_REMEDY}") from error


def _plan_text(planned: PlannedRun) -> str:
    """What was planned, and its size as numbers for readers of the store without this package.

    Parameters appear under every count, since a budget can be planned in each.
    """
    counts = count_params(planned.config.shape)
    cell = {
        "params": counts.total,
        "params_non_embedding": counts.non_embedding,
        "params_active": counts.active,
        "tokens": planned.config.tokens,
        "flops": planned.flops,
    }
    plan = {name: getattr(planned, name) for name in (*_PLANNED, *_PLANNED_LATER)}
    branch = dataclasses.asdict(planned.branch) if planned.branch else None
    return json.dumps(plan | {"branch": branch, "cell": cell})
