"""Processes that are to train together come, or say who is missing."""

import hmac
import socket
import threading
import time

import pytest

from scaling_jax.errors import InputError
from scaling_jax.system import connection
from scaling_jax.system.connection import Processes, _listening, meet


def refusal(*others, address, num_processes, process_id=0, wait=2):
    """What this process says, with `others` (process_id, num_processes) coming beside it."""
    heard = {}

    def come(process_id, num_processes):
        try:
            meet(Processes(address, num_processes, process_id, wait))
        except InputError as error:
            heard[process_id] = str(error)

    threads = [threading.Thread(target=come, args=other) for other in others]
    for thread in threads:
        thread.start()
    come(process_id, num_processes)
    for thread in threads:
        thread.join()
    # Whoever came hears the same.
    assert len(heard) == 1 + len(set(others)), heard
    assert len(set(heard.values())) == 1, heard
    return heard[process_id]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Where the secret of the tests is."""
    monkeypatch.delenv("SCALING_JAX_TOKEN", raising=False)
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    "message", [b"", b"5\n", b"[99, 2]\n", b"[1, 99]", b"[1, 2]\n", b"[" * 5000, b"9" * 5000]
)
def test_strangers_and_the_dead_do_not_count(address, monkeypatch, message):
    monkeypatch.setattr("scaling_jax.system.connection._MESSAGE_SECONDS", 0.2)
    host, port = address.split(":")
    results = {}

    def come(process_id):
        results[process_id] = meet(Processes(address, 2, process_id, 10))

    threads = [threading.Thread(target=come, args=(i,)) for i in (0, 1)]
    threads[0].start()
    while True:
        try:
            stranger = socket.create_connection((host, int(port)))
            break
        except OSError:
            time.sleep(0.05)
    with stranger:
        stranger.sendall(message)
        threads[1].start()
        for thread in threads:
            thread.join()
    assert results == {0: None, 1: None}


def test_a_coordinator_that_does_not_answer_is_said_after_the_time_to_wait(address):
    message = refusal(address=address, num_processes=2, process_id=1, wait=1)
    assert f"process 0 of 2 does not answer at {address} within 1 s" in message


def test_processes_that_do_not_come_are_named_to_all_that_did(address):
    message = refusal((2, 4), address=address, num_processes=4, wait=1)
    assert f"processes [1, 3] of 4 have not connected to {address} within 1 s" in message


def test_other_counts_of_processes_are_refused_by_all(address):
    message = refusal((1, 2), address=address, num_processes=3)
    assert "process 1 was started with num_processes 2, process 0 with 3" in message


def test_two_processes_of_one_number_are_refused_by_all(address):
    message = refusal((1, 3), (1, 3), address=address, num_processes=3)
    assert "two processes were started with process_id 1" in message


def test_a_port_in_use_is_said_at_once():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=r"cannot listen .*choose a free port"):
            meet(Processes(f"127.0.0.1:{port}", 2, 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("host:1", 2, None), "go together"),
        (("host", 2, 0), "'host' must be HOST:PORT"),
        (("host:port", 2, 0), "must be HOST:PORT"),
        (("host:1", 2, 2), "process_id 2 must be at least 0 and below num_processes 2"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Processes(*options)


def test_the_coordinator_listens_at_its_own_address_alone():
    with _listening(("127.0.0.1", 0)) as server:
        assert server.getsockname()[0] == "127.0.0.1"
    # An address of documentation, which no interface has.
    with _listening(("192.0.2.1", 0)) as server:
        assert server.getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize("token", ["ours", None])
def test_a_process_with_another_token_is_refused_and_the_others_meet(address, monkeypatch, token):
    if token is not None:
        monkeypatch.setenv("SCALING_JAX_TOKEN", token)
    results = {}

    def come(process_id):
        results[process_id] = meet(Processes(address, 2, process_id, 10))

    first = threading.Thread(target=come, args=(0,))
    first.start()
    theirs = Processes(address, 2, 1, 10)

    def without(us, process_id, num_processes):
        message = f"{us.coordinator} {process_id} {num_processes}"
        return hmac.new(b"", message.encode(), "sha256").hexdigest()

    usual = connection._proof
    monkeypatch.setattr(
        connection,
        "_proof",
        lambda us, *who: without(us, *who) if us is theirs else usual(us, *who),
    )
    with pytest.raises(
        InputError, match=r"process 1 has another secret than process 0: set SCALING_JAX_TOKEN"
    ):
        meet(theirs)
    come(1)
    first.join()
    assert results == {0: None, 1: None}


def test_the_token_itself_is_not_sent(monkeypatch):
    monkeypatch.setenv("SCALING_JAX_TOKEN", "secret")
    proof = connection._proof(Processes("host:1", 2, 1), 1, 2)
    assert "secret" not in proof
    monkeypatch.setenv("SCALING_JAX_TOKEN", "other")
    assert connection._proof(Processes("host:1", 2, 1), 1, 2) != proof
