"""A run's history: a small file for each change of its state, never changed afterwards.

A file's name holds its number, the state and the attempts so far, so that a listing shows where
a run stands even where a file's content is lost. Numbers, not clocks, order the files.
"""

import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal, get_args

from etils import epath

from scaling_jax.config.strict import from_dict, parsed_json
from scaling_jax.system.files import names, read_text, retried, write_text_atomically

State = Literal["planned", "leased", "running", "finished", "diverged", "failed", "cancelled"]

DIRECTORY = "history"
LOST = "the recorded reason is damaged"

_STATES = get_args(State)
_ENDING = ".json"


@dataclass(frozen=True)
class Event:
    """One change of a run's state.

    Attributes:
        number: position of the event in the run's history, from 1.
        state: the run's new state.
        attempts: failed attempts in a row that brought the run no further.
        reason: why the state changed, if that is not plain.
        step: step of the run's newest checkpoint at the time.
        interruptions: attempts in a row that something outside the run ended, such as a machine
            that was taken away, and that brought the run no further.
        wait: seconds after which the run may be retried.
        time: seconds since the epoch, on the clock of the process that wrote the event.
        by: that process, as host:pid.
    """

    number: int
    state: State
    attempts: int = 0
    reason: str | None = None
    step: int = 0
    wait: float = 0.0
    time: float = 0.0
    by: str = ""
    interruptions: int = 0

    def left_to_wait(self) -> float:
        """Seconds until the run may be retried; a clock set back does not lengthen the wait."""
        return min(self.wait, max(0.0, self.time + self.wait - time.time()))


def last_state(run: epath.Path) -> State | None:
    """The state of the run in `run`, from the files' names alone; None without history."""
    found = _names(run)
    return _parsed(found[-1])[1] if found else None


def last_event(run: epath.Path) -> Event | None:
    """The last change of the run's state; None without history."""
    found = _names(run)
    return _read(run, found[-1]) if found else None


def events(run: epath.Path) -> list[Event]:
    """Every change of the run's state, in order."""
    return [_read(run, name) for name in _names(run)]


def record(
    run: epath.Path,
    state: State,
    *,
    attempts: int = 0,
    reason: str | None = None,
    step: int = 0,
    wait: float = 0.0,
    interruptions: int = 0,
) -> None:
    """Add a change of state to the run's history. Several processes may do so at once.

    Raises:
        OSError: the file cannot be written.
    """
    found, folder = _names(run), run / DIRECTORY
    number = _parsed(found[-1])[0] + 1 if found else 1
    content: dict[str, Any] = {
        "reason": reason,
        "step": step,
        "wait": wait,
        "time": round(time.time(), 3),
        "by": f"{socket.gethostname()}:{os.getpid()}",
    }
    if interruptions:
        content["interruptions"] = interruptions
    retried(lambda: folder.mkdir(parents=True, exist_ok=True))
    name = f"{number:06d}-{state}-{attempts}-{uuid.uuid4().hex[:8]}{_ENDING}"
    write_text_atomically(folder / name, json.dumps(content))


def _names(run: epath.Path) -> list[str]:
    return sorted(name for name in names(run / DIRECTORY) if _is_event(name))


def _is_event(name: str) -> bool:
    parts = name.removesuffix(_ENDING).split("-")
    known = len(parts) == 4 and parts[1] in _STATES
    return known and name.endswith(_ENDING) and parts[0].isdecimal() and parts[2].isdecimal()


def _parsed(name: str) -> tuple[int, State, int]:
    number, state, attempts, _ = name.split("-")
    return int(number), state, int(attempts)  # type: ignore[return-value]


def _read(run: epath.Path, name: str) -> Event:
    number, state, attempts = _parsed(name)
    named = {"number": number, "state": state, "attempts": attempts}
    try:
        content = parsed_json(read_text(run / DIRECTORY / name), name)
        return from_dict(Event, content | named)
    except (OSError, ValueError, TypeError):
        return Event(number, state, attempts, reason=LOST)
