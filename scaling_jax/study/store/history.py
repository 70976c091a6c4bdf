"""What became of a run: a small file for each change of its state, never changed again.

A file's name holds its number, the state and the attempts so far, so that a listing tells where
a run stands even where a content is lost. Numbers, not clocks, order them.
"""

import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal, get_args

from etils import epath

from scaling_jax.system.files import names, read_text, retried, write_text_atomically

State = Literal["planned", "leased", "running", "finished", "diverged", "failed", "cancelled"]

DIRECTORY = "history"
LOST = "the record of why is damaged"

_STATES = get_args(State)
_ENDING = ".json"


@dataclass(frozen=True)
class Event:
    """One change of a run's state.

    Attributes:
        number: its place in the run's history, from 1.
        state: what the run became.
        attempts: failed attempts in a row that brought it no further.
        reason: why, where there is something to say.
        step: of its newest checkpoint then.
        wait: seconds after which it may be tried again.
        time: seconds since the epoch on the clock of the process that wrote it.
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

    def left_to_wait(self) -> float:
        """Seconds until the run may be tried again; a clock set back adds none to the wait."""
        return min(self.wait, max(0.0, self.time + self.wait - time.time()))


def last_state(run: epath.Path) -> State | None:
    """What the run in `run` became last, from the files' names alone; None without history."""
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
) -> None:
    """Add a change to the run's history. Any number of processes may do so at once.

    Raises:
        OSError: it cannot be written.
    """
    found, folder = _names(run), run / DIRECTORY
    number = _parsed(found[-1])[0] + 1 if found else 1
    content = {
        "reason": reason,
        "step": step,
        "wait": wait,
        "time": round(time.time(), 3),
        "by": f"{socket.gethostname()}:{os.getpid()}",
    }
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
    try:
        content: dict[str, Any] = json.loads(read_text(run / DIRECTORY / name))
        return Event(number, state, attempts, **content)
    except (OSError, ValueError, TypeError):
        return Event(number, state, attempts, reason=LOST)
