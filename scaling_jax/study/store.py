"""The store: one directory that holds everything of a study."""

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from etils import epath

from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError
from scaling_jax.files import write_text_atomically
from scaling_jax.study.design import PlannedRun
from scaling_jax.study.difference import differences, sentence
from scaling_jax.study.lock import hold, is_held
from scaling_jax.study.study import Study
from scaling_jax.train import Result, read_result

FORMAT = 1

State = Literal["planned", "running", "finished", "diverged", "failed"]


@dataclass(frozen=True)
class StoredRun:
    """One run of a store: its plan and how far it is."""

    directory: epath.Path
    planned: PlannedRun

    @property
    def run_id(self) -> str:
        """The run's identity and directory name."""
        return self.planned.config.run_id

    @property
    def result(self) -> Result | None:
        """The run's result once it is over."""
        return read_result(self.directory)

    @property
    def failure(self) -> str | None:
        """Why the last attempt failed, if it did."""
        path = self.directory / "failure.txt"
        return path.read_text() if path.exists() else None

    @property
    def state(self) -> State:
        """Where the run stands."""
        result = self.result
        if result is not None:
            return result.status
        if is_held(self.directory):
            return "running"
        return "failed" if self.failure is not None else "planned"

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Hold the run, so that no other process trains it; False if another one does."""
        with hold(self.directory) as mine:
            yield mine

    def fail(self, reason: str | None) -> None:
        """Record why an attempt failed; None clears it."""
        path = self.directory / "failure.txt"
        if reason is not None:
            write_text_atomically(path, reason)
        else:
            path.unlink(missing_ok=True)


class Store:
    """`<root>/<study>/study.json` and `runs/<run_id>/`."""

    def __init__(self, directory: epath.Path) -> None:
        self.directory = directory

    @classmethod
    def create(cls, root: os.PathLike | str, study: Study) -> "Store":
        """Open or begin the store of `study` under `root`, with every planned run in it.

        A changed design under the same recipe extends the store.

        Raises:
            InputError: `root` cannot be written or belongs to another study.
        """
        base = epath.Path(root)
        refuse_another_study(base, study)
        store = cls(base / study.name)
        planned = study.plan()
        try:
            (store.directory / "runs").mkdir(parents=True, exist_ok=True)
            described = json.dumps({"format": FORMAT, **study.describe()}, indent=1)
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
            _read_study_json(directory)
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
        """What `study.json` says of the study."""
        return _read_study_json(self.directory)

    def place(self, planned: PlannedRun) -> StoredRun:
        """The run where it lies or would lie; nothing is written."""
        return StoredRun(self.directory / "runs" / planned.config.run_id, planned)

    def add(self, planned: PlannedRun) -> StoredRun:
        """The run's place in the store, made if need be; a run already there keeps its plan."""
        run = self.place(planned)
        if not (directory := run.directory).joinpath("plan.json").exists():
            directory.mkdir(parents=True, exist_ok=True)
            write_text_atomically(directory / "config.json", planned.config.to_json())
            plan = dataclasses.asdict(planned)
            del plan["config"]
            write_text_atomically(directory / "plan.json", json.dumps(plan))
        return run

    def runs(self) -> list[StoredRun]:
        """Every run of the store, cheapest first."""
        paths = (self.directory / "runs").glob("*/plan.json")
        runs = [read_run(path.parent) for path in paths]
        return sorted(runs, key=lambda run: (run.planned.flops, run.run_id))


def read_run(directory: epath.Path) -> StoredRun:
    """The run whose plan lies in `directory`."""
    config = RunConfig.from_json((directory / "config.json").read_text())
    plan = json.loads((directory / "plan.json").read_text())
    return StoredRun(directory, PlannedRun(config, **plan))


def _read_study_json(directory: epath.Path) -> dict[str, Any]:
    try:
        described = json.loads((directory / "study.json").read_text())
    except json.JSONDecodeError as error:
        raise InputError(
            f"{directory / 'study.json'} is not JSON ({error}): restore it, or choose another root"
        ) from error
    if described.get("format") != FORMAT:
        raise InputError(
            f"{directory} has store format {described.get('format')}, but this package reads "
            f"{FORMAT}: use the package version that wrote it"
        )
    return described


def refuse_another_study(root: epath.Path, study: Study) -> None:
    """Refuse a root where `study` cannot go because another one is there.

    Raises:
        InputError: naming the other study.
    """
    if (root / "study.json").exists():
        raise InputError(
            f"{root} belongs to the study {_read_study_json(root)['name']!r}: give its parent as "
            "the root, or another directory"
        )
    if not (root / study.name / "study.json").exists():
        return
    theirs = _read_study_json(root / study.name)
    if theirs["recipe_hash"] != study.recipe_hash:
        found = differences(theirs["recipe"], study.describe()["recipe"], "recipe")
        raise InputError(
            f"{root / study.name} belongs to a study {study.name!r} with another recipe "
            f"({sentence(found)}): choose another root, or another name (--set name=NAME)"
        )


def refuse_unwritable(root: epath.Path) -> None:
    """Refuse a local root where no directory can be made.

    Raises:
        InputError: naming what stands in the way.
    """
    if "://" in os.fspath(root):
        return
    path = Path(os.fspath(root)).absolute()
    above = next(folder for folder in (path, *path.parents) if folder.exists())
    if not above.is_dir():
        raise InputError(f"cannot write to {root}: {above} is a file; choose another root")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {root}: {above} is not writable; choose another root")
