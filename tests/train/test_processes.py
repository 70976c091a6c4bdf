"""Processes that train one run together give its losses, stop together and say who is missing."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath
from helpers import small_run

from scaling_jax.errors import InputError
from scaling_jax.train import Processes, make_mesh, read_metrics, read_result, train_run
from scaling_jax.train.processes import meet

SCRIPT = Path(__file__).with_name("train_together.py")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def run_together(n, config, directory, stop_at=0):
    """The exit codes and outputs of `n` processes."""
    port = free_port()
    # Six processes compile the same short-lived programs.
    flags = {"XLA_FLAGS": "--xla_backend_optimization_level=0", "JAX_PLATFORMS": "cpu"}
    environment = os.environ | flags
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, config, directory, *map(str, (port, i, n, stop_at))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(n)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    return [process.returncode for process in processes], outputs


@pytest.mark.filterwarnings("ignore")
def test_four_processes_stop_together_and_two_end_as_one_would(text, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_JAX_CACHE", str(cache))
    config = small_run(text, steps=32, shape={"n_layers": 1})
    (tmp_path / "config.json").write_text(config.to_json())
    directory = tmp_path / "together"

    codes, outputs = run_together(4, tmp_path / "config.json", directory, stop_at=8)
    assert codes == [75] * 4, outputs
    stopped = len(read_metrics(epath.Path(directory)))
    assert 8 < stopped < 32
    for i, output in enumerate(outputs):
        cause = "by signal 15" if i == 1 else "with another of its processes"
        assert f"stopped {cause} at step {stopped} of 32" in output
    assert (directory / "checkpoints" / str(stopped)).is_dir()

    codes, outputs = run_together(2, tmp_path / "config.json", directory)
    assert codes == [0, 0], outputs
    one = make_mesh(devices=jax.devices()[:1])
    alone = train_run(config, tmp_path / "alone", mesh=one, progress=False)
    curves = [
        [(row["step"], row["loss"]) for row in read_metrics(epath.Path(path))]
        for path in (directory, tmp_path / "alone")
    ]
    # Sums are taken in another order: float32 rounding, amplified by 32 updates.
    np.testing.assert_allclose(*curves, rtol=2e-5)
    assert read_result(epath.Path(directory)).loss == pytest.approx(alone.loss, rel=2e-5)


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


@pytest.fixture
def address():
    return f"127.0.0.1:{free_port()}"


def test_a_coordinator_that_does_not_answer_is_said_after_the_time_to_wait(address):
    message = refusal(address=address, num_processes=2, process_id=1, wait=1)
    assert f"process 0 of 2 does not answer at {address} within 1 s" in message


def test_processes_that_do_not_come_are_named_to_all_that_did(address):
    message = refusal((2, 4), address=address, num_processes=4, wait=1)
    assert f"processes [1, 3] of 4 have not come to {address} within 1 s" in message


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
