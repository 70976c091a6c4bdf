"""A profile of a run is written where TensorBoard and Perfetto find it."""

import gzip
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from scaling_jax.errors import InputError
from scaling_jax.runs.profiling import profiled


def work(report, dispatches):
    @jax.jit
    def square(x):
        return x @ x

    x = jnp.eye(64)
    for step in range(dispatches):
        square(x).block_until_ready()
        report(step, 1.0, 1.0)


@pytest.mark.parametrize("dispatches", [4, 40])
def test_a_trace_has_the_steps_in_it(tmp_path: Path, dispatches: int) -> None:
    with profiled(tmp_path) as report:
        work(report, dispatches)
    (perfetto,) = tmp_path.glob("plugins/profile/*/perfetto_trace.json.gz")
    assert list(perfetto.parent.glob("*.xplane.pb"))
    events = json.loads(gzip.decompress(perfetto.read_bytes()))["traceEvents"]
    assert any("square" in event.get("name", "") for event in events)


@pytest.mark.parametrize("dispatches", [2, 3])
def test_a_run_that_took_too_few_steps_is_said_to(tmp_path, capsys, dispatches) -> None:
    with profiled(tmp_path) as report:
        work(report, dispatches)
    assert f"took {dispatches} dispatches, but a profile needs 4" in capsys.readouterr().err


def test_a_file_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"), profiled(tmp_path / "file") as report:
        report(1, 1.0, 1.0)
