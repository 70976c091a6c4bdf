"""A run belongs to one process at a time, wherever it is stored."""

import json
import threading
import time

import pytest
from etils import epath

from scaling_jax.study.store import lock
from scaling_jax.study.store.lock import hold, is_held, lease


@pytest.fixture
def directory(tmp_path):
    return epath.Path(tmp_path)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(lock, "_LOOK_SECONDS", 0.1)


@pytest.mark.parametrize("in_bucket", [False, True])
def test_one_holds_and_others_know(directory, monkeypatch, in_bucket):
    monkeypatch.setattr(lock, "in_bucket", lambda directory: in_bucket)
    assert not is_held(directory)
    with hold(directory) as first:
        assert is_held(directory)
        with hold(directory) as second:
            assert (first, second) == (True, False)
        assert is_held(directory)
    assert not is_held(directory)
    with hold(directory) as again:
        assert again


def test_a_look_at_a_run_does_not_keep_another_process_from_it(directory, monkeypatch):
    monkeypatch.setattr(lock, "_LOOK_SECONDS", 30.0)
    looking = threading.Event()

    def look():
        with lock._locked(directory):
            looking.set()
            time.sleep(0.2)

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    with hold(directory) as mine:
        assert mine
    thread.join()


def test_a_lease_is_renewed_while_it_is_held(directory, monkeypatch):
    monkeypatch.setattr(lock, "LEASE_SECONDS", 0.5)
    path = directory / ".lease"
    with lease(path) as mine:
        assert mine
        first = json.loads(path.read_text())["until"]
        while json.loads(path.read_text())["until"] == first:
            time.sleep(0.02)
    assert not path.exists()


def test_the_lease_of_a_dead_process_runs_out(directory):
    path = directory / ".lease"
    path.write_text(json.dumps({"holder": "somebody", "until": time.time() + 100}))
    with lease(path) as mine:
        assert not mine
    path.write_text(json.dumps({"holder": "somebody", "until": time.time() - 1}))
    with lease(path) as mine:
        assert mine


def test_of_two_that_want_a_lease_at_once_the_last_to_write_has_it(directory, monkeypatch):
    path = directory / ".lease"
    other = json.dumps({"holder": "somebody", "until": time.time() + 100})
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: path.write_text(other))
    with lease(path) as mine:
        assert not mine
    assert json.loads(path.read_text())["holder"] == "somebody"


FUTURE = json.dumps({"holder": "somebody", "until": time.time() + 1e6})


def test_a_lease_from_the_future_is_void_unless_it_is_renewed(directory, monkeypatch):
    path = directory / ".lease"
    later = json.dumps({"holder": "somebody", "until": time.time() + 2e6})
    slept = []

    def renewed(seconds):
        slept.append(seconds)
        path.write_text(later)

    path.write_text(FUTURE)
    monkeypatch.setattr(lock.time, "sleep", renewed)
    with lease(path) as mine:
        assert not mine
    assert slept[0] > lock.LEASE_SECONDS / 5
    monkeypatch.setattr(lock.time, "sleep", slept.append)
    with lease(path) as mine:
        assert mine
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"holder": "somebody"}', '{"until": "x"}'])
def test_a_damaged_lease_holds_nothing(directory, text):
    path = directory / ".lease"
    path.write_text(text)
    with lease(path) as mine:
        assert mine
