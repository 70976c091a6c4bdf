"""One process at a time for each run: file locks on a file system, leases in a bucket."""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etils import epath

from scaling_jax.files import write_text_atomically

# A lease outlives its holder by at most this long, should that die.
LEASE_SECONDS = 300.0
# Whoever else writes a lease at the same moment has done so by then; the last one holds.
SETTLE_SECONDS = 2.0

_GLANCE_SECONDS = 1.0


@contextmanager
def hold(directory: epath.Path) -> Iterator[bool]:
    """Keep other processes from the run in `directory`; False if another one has it."""
    with lease(directory / ".lease") if _in_bucket(directory) else _locked(directory) as mine:
        yield mine


def is_held(directory: epath.Path) -> bool:
    """Whether a process, this one included, holds the run in `directory`."""
    if _in_bucket(directory):
        return _current_holder(directory / ".lease") is not None
    if not (directory / ".lock").exists():
        return False
    with _locked(directory, wait=0) as free:
        return not free


@contextmanager
def _locked(directory: epath.Path, wait: float = _GLANCE_SECONDS) -> Iterator[bool]:
    import filelock

    lock = filelock.FileLock(Path(os.fspath(directory / ".lock")))
    try:
        # Whoever looks whether a run is held has the lock for a moment.
        lock.acquire(timeout=wait)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def lease(path: epath.Path) -> Iterator[bool]:
    """Hold the lease at `path`, renewed while the block lasts; False if another process does.

    A bucket has no locks, so this rests on clocks that agree to within minutes.
    """
    me, done = uuid.uuid4().hex, threading.Event()
    if _current_holder(path) is not None:
        yield False
        return
    _write(path, me)
    time.sleep(SETTLE_SECONDS)
    if _current_holder(path) != me:
        yield False
        return
    renewal = threading.Thread(target=_renew, args=(path, me, done), daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        done.set()
        renewal.join()
        if _current_holder(path) == me:
            path.unlink(missing_ok=True)


def _renew(path: epath.Path, me: str, done: threading.Event) -> None:
    # A process that slept for longer than its lease may find that another one has it.
    while not done.wait(LEASE_SECONDS / 5) and _current_holder(path) in (me, None):
        _write(path, me)


def _write(path: epath.Path, me: str) -> None:
    until = time.time() + LEASE_SECONDS
    write_text_atomically(path, json.dumps({"holder": me, "until": until}))


def _current_holder(path: epath.Path) -> str | None:
    try:
        written: Any = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return written["holder"] if written["until"] > time.time() else None


def _in_bucket(directory: epath.Path) -> bool:
    return "://" in os.fspath(directory)
