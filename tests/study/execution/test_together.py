"""Processes that have been joined train each run of a study together."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from run_together import SHORT
from small_studies import losses

from scaling_jax.errors import InputError
from scaling_jax.study import Store, run_study
from scaling_jax.study.store import history
from tests.quick import QUICKLY

SCRIPT = Path(__file__).parents[1].joinpath("run_together.py")


def test_two_processes_end_a_study_as_one_would(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    flags = {"XLA_FLAGS": QUICKLY, "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, tmp_path / "two", *map(str, (port, i, 2))],
            env=os.environ | flags,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    outputs = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    store = Store.open(tmp_path / "two")
    # Both processes continued after a run had failed for lack of memory.
    failures = [event.reason for run in store.runs() for event in history.events(run.directory)]
    assert ["RESOURCE_EXHAUSTED" in reason for reason in failures if reason] == [True]
    together = losses(store)
    assert len(together) == 2
    # Sums are taken in another order: float32 rounding, amplified by the updates.
    alone = losses(run_study(SHORT, tmp_path / "one", workers=1, progress=False))
    assert together == pytest.approx(alone, rel=2e-5)


def test_joined_processes_have_one_worker_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaling_jax.study.execution.execute.from_first", lambda value: value())
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr("scaling_jax.system.agreement.gathered", lambda value: [value])
    with pytest.raises(InputError, match="workers 2: processes that train together use one"):
        run_study(SHORT, tmp_path, workers=2, progress=False)
