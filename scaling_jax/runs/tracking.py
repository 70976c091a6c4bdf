"""Trackers: what receives a run's scalars besides its own files, without holding up training."""

import importlib.util
import json
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from etils import epath

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig
from scaling_jax.errors import InputError, suggestion

# How long the end of a run waits for a tracker that has not yet sent everything.
CLOSE_SECONDS = 60.0
JSON_LINES = "jsonl:"
# Each is also the package that it needs, and the extra that installs the package.
SERVICES = ("wandb", "mlflow")


class Tracker(Protocol):
    """Receives the scalars of one run."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Take the finite values of a step; a resumed run may repeat steps, with equal values."""

    def close(self) -> None:
        """Take no more values, and send what has not been sent."""


@dataclass(frozen=True)
class TrackedRun:
    """A run as trackers see it.

    Attributes:
        run_id: under which the tracker finds the run again, to continue it.
        study: the study that holds the run; None for a run that is trained by itself.
        directory: of the run.
        config: the run's configuration, with its numbers of parameters and tokens.
        resume_step: the step after which the run continues; 0 for a new run.
    """

    run_id: str
    study: str | None
    directory: epath.Path
    config: Mapping[str, Any]
    resume_step: int


def tracked_run(config: RunConfig, directory: epath.Path, resume_step: int) -> TrackedRun:
    """The run as trackers see it; a run of a study is in `STUDY/runs/RUN_ID`."""
    counts = count_params(config.shape)
    sizes = {"params": counts.total, "params_non_embedding": counts.non_embedding}
    study = directory.parent.parent.name if directory.parent.name == "runs" else None
    described = {**sizes, "tokens": config.tokens, **json.loads(config.to_json())}
    return TrackedRun(config.run_id, study, directory, described, resume_step)


def checked_track(track: Sequence[str]) -> tuple[str, ...]:
    """The names of trackers, with absolute paths.

    >>> checked_track(["jsonl:/tmp/losses.jsonl"])
    ('jsonl:/tmp/losses.jsonl',)

    Raises:
        InputError: an unknown tracker, one whose package is not installed, or one named twice.
    """
    if isinstance(track, str):
        raise InputError(f"track {track!r} must be a tuple of trackers: write ({track!r},)")
    checked = tuple(map(_checked, track))
    twice = next((name for name in checked if checked.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"track names {twice} twice: name it once")
    return checked


def _checked(name: str) -> str:
    path = name.removeprefix(JSON_LINES)
    if path != name and path:
        return f"{JSON_LINES}{Path(path).absolute()}"
    if name not in SERVICES:
        known = [*SERVICES, "jsonl:PATH"]
        raise InputError(f"tracker {name!r} is unknown{suggestion(name, known)}")
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"tracker {name!r} needs the package {name}, which is not installed: "
            f"pip install 'scaling_jax[{name}]'"
        )
    return name


def open_tracker(name: str, run: TrackedRun) -> "InBackground":
    """The tracker of a name that `checked_track` has returned."""
    from scaling_jax.runs import trackers

    if name.startswith(JSON_LINES):
        path = name.removeprefix(JSON_LINES)
        return InBackground(name, lambda: trackers.JsonLines(path, run))
    if name == "wandb":
        return InBackground(name, lambda: trackers.WeightsAndBiases(run))
    return InBackground(name, lambda: trackers.MLflow(run))


class InBackground:
    """A tracker in a thread of its own, whose delays and failures do not reach training.

    After a failure the tracker takes no more values, and a line on standard error says so. The
    run's own files have them all.
    """

    def __init__(self, name: str, opened: Callable[[], Tracker]) -> None:
        self._name, self._open = name, opened
        self._values: queue.SimpleQueue[tuple[int, dict[str, float]] | None] = queue.SimpleQueue()
        self._failed = False
        self._thread = threading.Thread(target=self._work, name=f"track {name}", daemon=True)
        self._thread.start()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Hand the values to the thread."""
        if not self._failed:
            self._values.put((step, dict(values)))

    def close(self) -> None:
        """Wait until everything is sent, at most `CLOSE_SECONDS`."""
        self._values.put(None)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            self._warn(f"has not taken everything after {CLOSE_SECONDS:.0f} s and is left behind")

    def _work(self) -> None:
        try:
            tracker = self._open()
            while (item := self._values.get()) is not None:
                tracker.add(*item)
            tracker.close()
        # A service that cannot be reached or refuses the login may end the process it runs in.
        except (Exception, SystemExit) as error:
            self._failed = True
            first = next(iter(str(error).splitlines()), "") or type(error).__name__
            self._warn(f"stopped: {first.strip().rstrip('.')}")

    def _warn(self, what: str) -> None:
        print(
            f"warning: tracker {self._name} {what}; training continues, and the run's directory "
            "has every value",
            file=sys.stderr,
        )
