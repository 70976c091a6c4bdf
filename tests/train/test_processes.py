"""Processes that train one run together give its losses and stop together."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath
from helpers import small_run

from scaling_jax.runs.curve_files import read_metrics
from scaling_jax.runs.result import read_result
from scaling_jax.train import make_mesh, train_run
from tests.buckets import bucket_of
from tests.quick import QUICKLY

SCRIPT = Path(__file__).with_name("train_together.py")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def run_together(n, config, directory, stop_at=0, config_of_last=None, variables=None):
    """The exit codes and outputs of `n` processes."""
    configs = [config] * (n - 1) + [config_of_last or config]
    port = free_port()
    # Six processes compile the same short-lived programs.
    flags = {"XLA_FLAGS": QUICKLY, "JAX_PLATFORMS": "cpu"}
    environment = (variables or os.environ) | flags
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, configs[i], directory, *map(str, (port, i, n, stop_at))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(n)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    return [process.returncode for process in processes], outputs


def check_is_as_alone(directory, config, alone):
    """The run in `directory` has the losses of `config` trained by one process in `alone`."""
    one = make_mesh(devices=jax.devices()[:1])
    result = train_run(config, alone, mesh=one, progress=False)
    curves = [
        [(row["step"], row["loss"]) for row in read_metrics(epath.Path(path))]
        for path in (directory, alone)
    ]
    # Sums are taken in another order: float32 rounding, amplified by the updates.
    np.testing.assert_allclose(*curves, rtol=2e-5)
    assert read_result(epath.Path(directory), config).loss == pytest.approx(result.loss, rel=2e-5)


@pytest.fixture
def streamed(tmp_path):
    """Variables of processes with tokens in a bucket, of which each may keep 1 MiB.

    No file of more than 1 MiB can be written either.
    """
    with bucket_of("gs", tmp_path) as (bucket, variables):
        yield variables | {
            "SCALING_JAX_CACHE": str(tmp_path / "disk"),
            "DATA_CACHE": f"{bucket}/tokens?memory={2**20}",
            "LARGEST_FILE": str(2**20),
        }


@pytest.mark.filterwarnings("ignore")
def test_four_processes_stop_together_and_two_end_as_one_would(
    text, cache, tmp_path, monkeypatch, streamed
):
    monkeypatch.setenv("SCALING_JAX_CACHE", str(cache))
    config = small_run(text, steps=32, shape={"n_layers": 1})
    (tmp_path / "config.json").write_text(config.to_json())
    directory = tmp_path / "together"

    codes, outputs = run_together(
        4, tmp_path / "config.json", directory, stop_at=8, variables=streamed
    )
    assert codes == [75] * 4, outputs
    stopped = len(read_metrics(epath.Path(directory)))
    assert 8 < stopped < 32
    for i, output in enumerate(outputs):
        cause = "by signal 15" if i == 1 else "because another process was stopped"
        assert f"stopped {cause} at step {stopped} of 32" in output
    assert (directory / "checkpoints" / str(stopped)).is_dir()

    codes, outputs = run_together(2, tmp_path / "config.json", directory, variables=streamed)
    assert codes == [0, 0], outputs
    check_is_as_alone(directory, config, tmp_path / "alone")
    # Each process has read what it needed of 2 bytes for each byte of text, and stored none of it.
    assert all(0 < int(output.split()[-1]) < 2 * text.stat().st_size for output in outputs)
    assert not list((tmp_path / "disk").rglob("*.bin"))


def test_runs_side_by_side_over_processes_are_each_what_it_would_be_alone(
    text, cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("SCALING_JAX_CACHE", str(cache))
    configs = [
        small_run(text, steps=20, shape={"n_layers": 1}),
        small_run(text, steps=12, shape={"n_layers": 1}, seed=1),
    ]
    paths = [tmp_path / f"{i}.json" for i in range(2)]
    for path, config in zip(paths, configs, strict=True):
        path.write_text(config.to_json())
    directory, both = tmp_path / "together", ",".join(map(str, paths))
    codes, outputs = run_together(2, both, directory)
    assert codes == [0, 0], outputs
    for i, config in enumerate(configs):
        check_is_as_alone(directory / str(i), config, tmp_path / "alone" / str(i))


def test_processes_that_were_given_different_runs_are_refused(text, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SCALING_JAX_CACHE", str(cache))
    for name, n_layers in (("one", 1), ("two", 2)):
        config = small_run(text, shape={"n_layers": n_layers})
        (tmp_path / name).write_text(config.to_json())
    codes, outputs = run_together(
        2, tmp_path / "one", tmp_path / "run", config_of_last=tmp_path / "two"
    )
    assert codes == [2, 2], outputs
    assert all("process 1 was started with other runs than process 0" in out for out in outputs)
    assert not (tmp_path / "run").exists()
