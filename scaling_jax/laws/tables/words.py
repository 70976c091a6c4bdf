"""Text columns of a table, read in one way: names of runs, their states and their roles."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd

LINE = "line"
FINISHED, DIVERGED, VERIFICATION = "finished", "diverged", "verification"

# The words of this package, each with what trackers and schedulers write for the same.
_STATES: Mapping[str, tuple[str, ...]] = {
    FINISHED: (
        *("done", "complete", "completed", "success", "successful", "succeeded", "ok"),
        *("finish", "trained"),
    ),
    "failed": (
        *("fail", "failure", "error", "errored", "crash", "crashed", "killed", "oom"),
        *("out of memory", "timeout", "timed out", "aborted"),
    ),
    DIVERGED: ("diverge", "divergent", "diverging", "nan", "exploded", "unstable"),
    "running": (
        *("run", "started", "in progress", "training", "active", "unfinished", "incomplete"),
        *("preempted", "preempting", "interrupted", "paused"),
    ),
    "planned": (
        *("plan", "pending", "queued", "waiting", "scheduled", "submitted", "todo", "created"),
        "not started",
    ),
    "leased": (),
    "cancelled": ("canceled", "stopped", "skipped"),
}
_ROLES: Mapping[str, tuple[str, ...]] = {
    "grid": ("design", "fit", "main", "search", "sweep", "train", "training"),
    VERIFICATION: ("verify", "validation", "holdout", "held out", "test", "branch"),
}


def texts(cells: "pd.Series") -> np.ndarray:
    """The cells as stripped text, in an array of objects; empty where a cell is missing."""
    missing_N = cells.isna().to_numpy(bool)
    # An array of NumPy's own text type would be as wide as its first cell, and cut the others.
    plain = [str(cell).strip() for cell in cells.astype(object)]
    return np.where(missing_N, "", np.array([*plain, ""], object)[:-1])


def where(frame: "pd.DataFrame", row: int) -> str:
    """What the row is called: the line of a file, or the label it has in a frame."""
    kind = LINE if frame.index.name == LINE else "row"
    return f"{kind} {frame.index[row]}"


def states(frame: "pd.DataFrame") -> np.ndarray:
    """The state of every run in this package's words; empty where `status` is missing or blank.

    Raises:
        InputError: a word that no tracker uses for a state.
    """
    return _words(frame, "status", _STATES)


def roles(frame: "pd.DataFrame") -> np.ndarray:
    """`grid` or `verification` of every run; empty where `role` is missing or blank.

    Raises:
        InputError: another word.
    """
    return _words(frame, "role", _ROLES)


def _words(frame: "pd.DataFrame", column: str, known: Mapping[str, tuple[str, ...]]) -> np.ndarray:
    if column not in frame:
        return np.full(len(frame), "", object)
    meaning = {word: name for name, others in known.items() for word in (name, *others)}
    found = []
    for row, cell in enumerate(texts(frame[column])):
        word = " ".join(cell.casefold().replace("-", " ").replace("_", " ").split())
        if word and word not in meaning:
            raise InputError(
                f"{where(frame, row)}, column {column!r}: {cell!r} is no known {column}"
                f"{nearest(word, meaning)}; write {' or '.join(known)}, leave the cell blank, or "
                "rename the column"
            )
        found.append(meaning[word] if word else "")
    return np.array([*found, ""], object)[:-1]
