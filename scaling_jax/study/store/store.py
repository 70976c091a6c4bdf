"""The store: one directory that holds everything about a study."""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

from etils import epath

from scaling_jax.errors import InputError, LeftOutWarning, nearest
from scaling_jax.formatting import preformatted
from scaling_jax.runs.module_file import record_module
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.study.plan.study import Study
from scaling_jax.study.store.root import FORMAT, read_study_json, refuse_another_study
from scaling_jax.study.store.stored_run import (
    TRAINED_FILES,
    CheckedResult,
    StoredRun,
    plan_text,
    read_run,
)
from scaling_jax.system.files import as_path, names, write_text_atomically

# In a trunk's directory: a file for each of its branches, named after it, with its step.
BRANCHES = "branches"


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
        texts = {"config.json": planned.config.to_json, "plan.json": lambda: plan_text(planned)}
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

    def runs_named(self, run_ids: Iterable[str]) -> list[StoredRun]:
        """The runs of these ids, in the order given.

        Raises:
            InputError: no run has such an id.
        """
        known, wanted = {run.run_id: run for run in self.runs()}, list(run_ids)
        for run_id in wanted:
            if run_id not in known:
                raise InputError(
                    f"{self.directory} has no run {run_id!r}: scaling-jax collect lists all of them"
                    f"{nearest(run_id, known)}"
                )
        return [known[run_id] for run_id in wanted]

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


def opened(store: Store | os.PathLike | str) -> Store:
    """A store, which may be given as its directory or as a root that holds one study.

    Raises:
        InputError: as `Store.open`.
    """
    return store if isinstance(store, Store) else Store.open(store)


def warn_left_out(sentences: Iterable[str]) -> None:
    """Warn that runs are left out of the table that the caller's caller asked for."""
    for sentence in sentences:
        warnings.warn(sentence, LeftOutWarning, stacklevel=3)


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
    return not found.isdisjoint({"config.json", *TRAINED_FILES})


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
