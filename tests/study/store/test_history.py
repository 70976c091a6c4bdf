"""A run's history is added to by any number of processes and survives damage."""

import threading
import time

import pytest
from etils import epath

from scaling_jax.study.store import history
from scaling_jax.study.store.history import Event, events, last_event, last_state, record
from scaling_jax.system import files


@pytest.fixture
def run(tmp_path):
    return epath.Path(tmp_path)


def test_changes_are_kept_in_order_with_their_reasons(run):
    assert (last_state(run), last_event(run), events(run)) == (None, None, [])
    record(run, "leased")
    record(run, "planned", attempts=1, reason="no memory", step=7, wait=5.0)
    leased, again = events(run)
    assert (leased.number, leased.state, leased.attempts) == (1, "leased", 0)
    assert (again.number, again.state, again.attempts) == (2, "planned", 1)
    assert (again.reason, again.step, again.wait) == ("no memory", 7, 5.0)
    assert again.by.endswith(f":{history.os.getpid()}")
    assert last_event(run) == again


def test_writers_at_once_lose_nothing(run):
    def write():
        for _ in range(20):
            record(run, "leased")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events(run)) == 80


def test_clocks_do_not_order_events(run, monkeypatch):
    record(run, "leased")
    monkeypatch.setattr(history.time, "time", lambda: 0.0)
    record(run, "failed")
    assert last_state(run) == "failed"


@pytest.mark.parametrize("content", [b"", b'{"reason": "no', b"\xff\xfe", b"[]", b'{"x": 1}'])
def test_a_damaged_record_still_says_the_state(run, content):
    record(run, "failed", attempts=2, reason="no memory")
    (path,) = (run / history.DIRECTORY).iterdir()
    path.write_bytes(content)
    assert last_event(run) == Event(1, "failed", 2, reason=history.LOST)


def test_what_is_no_event_is_passed_over(run):
    record(run, "leased")
    for name in ("000009-leased-0.json", "x-leased-0-0.json", "000009-odd-0-0.json", ".a.tmp"):
        (run / history.DIRECTORY / name).write_text("{}")
    assert [event.number for event in events(run)] == [1]


def test_a_clock_set_back_adds_nothing_to_a_wait():
    now = time.time()
    assert 4 < Event(1, "planned", wait=5.0, time=now).left_to_wait() <= 5
    assert Event(1, "planned", wait=5.0, time=now - 10).left_to_wait() == 0
    assert Event(1, "planned", wait=5.0, time=now + 1e6).left_to_wait() == 5


def test_a_file_system_that_falters_is_waited_for(run, monkeypatch):
    monkeypatch.setattr(files, "WAITS", (0.0, 0.0))
    failures = [OSError(files.errno.EIO, "falters"), OSError(files.errno.ESTALE, "falters")]
    replace = files._replace

    def flaky(path, text):
        if failures:
            raise failures.pop()
        replace(path, text)

    monkeypatch.setattr(files, "_replace", flaky)
    record(run, "leased")
    assert last_state(run) == "leased"
    failures.extend([OSError(files.errno.EIO, "is broken")] * 3)
    with pytest.raises(OSError, match="is broken"):
        record(run, "running")
    assert (last_state(run), failures) == ("leased", [])


def test_a_full_disk_is_not_waited_for(monkeypatch):
    def full():
        calls.append(1)
        raise OSError(files.errno.ENOSPC, "no space left")

    calls = []
    with pytest.raises(OSError, match="no space left"):
        files.retried(full)
    assert len(calls) == 1
