"""One process at a time for each run: file locks on a file system, leases in a bucket."""

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etils import epath

from scaling_jax.config.strict import parsed_json
from scaling_jax.system.buckets import in_bucket
from scaling_jax.system.files import read_text, write_text_atomically

# A lease outlives a holder that dies by at most this long.
LEASE_SECONDS = 300.0
# Processes that write a lease at the same moment have finished by then; the last writer holds it.
SETTLE_SECONDS = 2.0

# A holder renews its lease after this share of its duration.
_RENEWED = 0.2
_LOOK_SECONDS = 1.0
_NOBODY = (None, 0.0)


@contextmanager
def hold(directory: epath.Path) -> Iterator[bool]:
    """Keep other processes from the run in `directory`; False if another one holds it."""
    with lease(directory / ".lease") if in_bucket(directory) else _locked(directory) as mine:
        yield mine


def is_held(directory: epath.Path) -> bool:
    """Whether a process, this one included, holds the run in `directory`.

    Nothing is written, so that a store can be read where it cannot be changed. A lock that this
    process may not even read is not known to be held.
    """
    if in_bucket(directory):
        return _current_holder(directory / ".lease") is not None
    import fcntl

    try:
        found = os.open(directory / ".lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # A file system that is mounted to be read only need not know locks.
        return False
    finally:
        os.close(found)
    return False


@contextmanager
def _locked(directory: epath.Path) -> Iterator[bool]:
    import filelock

    lock = filelock.FileLock(Path(os.fspath(directory / ".lock")))
    try:
        # `is_held` in another process holds the lock for a moment.
        lock.acquire(timeout=_LOOK_SECONDS)
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

    A bucket has no locks, so leases need clocks that agree to within minutes. A lease with an
    impossible end, as after a jump of a clock, is valid only if it is renewed while this process
    watches it.
    """
    me, done = uuid.uuid4().hex, threading.Event()
    if _is_taken(path):
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


def _is_taken(path: epath.Path) -> bool:
    holder, until = _read(path)
    if until > time.time() + LEASE_SECONDS:
        time.sleep(1.5 * LEASE_SECONDS * _RENEWED)
        return _read(path) not in ((holder, until), _NOBODY)
    return holder is not None


def _renew(path: epath.Path, me: str, done: threading.Event) -> None:
    # A process that slept for longer than its lease may find that another process took it.
    while not done.wait(LEASE_SECONDS * _RENEWED) and _current_holder(path) in (me, None):
        _write(path, me)


def _write(path: epath.Path, me: str) -> None:
    until = time.time() + LEASE_SECONDS
    write_text_atomically(path, json.dumps({"holder": me, "until": until}))


def _current_holder(path: epath.Path) -> str | None:
    return _read(path)[0]


def _read(path: epath.Path) -> tuple[str | None, float]:
    """The holder and the expiry time of a lease; `_NOBODY` if it has expired or is unreadable."""
    try:
        written = parsed_json(read_text(path), ".lease")
        holder, until = str(written["holder"]), float(written["until"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, OverflowError):
        return _NOBODY
    return (holder, until) if until > time.time() else _NOBODY
