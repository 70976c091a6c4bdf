"""The compiling process: its arguments, and what happens when it fails."""

import sys
from importlib import util
from pathlib import Path

import pytest

from scaling_jax.aot import CompilerFailed, Topology, compile_run
from scaling_jax.aot.launch import environment
from scaling_jax.aot.refusal import needed_bytes
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution

SHAPE = Shape(n_layers=1, d_model=8, n_heads=1, d_ff=8, vocab_size=8, seq_len=8)
RUN = RunConfig(SHAPE, DataConfig(), OptimizerConfig(1e-3, 1), 6, 10, 1024)
SLICE = Topology.parse("v5e:2x2")


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replace Python by a script, and pretend that the compiler is installed."""
    monkeypatch.setattr(util, "find_spec", lambda name: object())

    def put(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return put


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -KILL $$", "was killed, most likely because this machine's memory ran out"),
        ("kill -ABRT $$", "ended by signal 6"),
        ("echo first; echo no such flag >&2; exit 1", "ended with code 1:\nfirst\nno such flag"),
    ],
)
def test_a_compiler_that_ends_without_an_answer(python, script: str, message: str) -> None:
    python(script)
    with pytest.raises(CompilerFailed) as caught:
        compile_run(RUN, Execution(), SLICE)
    assert f"the compiler for v5e:2x2 {message}" in str(caught.value)


def test_arrays_stay_on_the_cpu_whatever_this_process_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere")
    monkeypatch.setenv("XLA_FLAGS", "--kept")
    found = environment()
    assert (found["JAX_PLATFORMS"], found["XLA_FLAGS"]) == ("cpu", "--kept")
    # Programs for chips that are not here cannot be read back from the cache.
    assert "JAX_COMPILATION_CACHE_DIR" not in found


@pytest.mark.parametrize(
    ("message", "gib"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (72.87G) exceeds available HBM (15.75G).",
            72.87,
        ),
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
            "space hbm. Used 21.12G of 15.75G hbm. Exceeded hbm capacity by 5.37G.\n\nTotal hbm "
            "usage >= 21.37G:\n    reserved 258.00M",
            21.37,
        ),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 512.00MiB", 0.5),
        ("RESOURCE_EXHAUSTED: something else", 0.0),
        ("INVALID_ARGUMENT: Used 1G of 2G hbm", None),
    ],
)
def test_refusals_of_the_compilers(message: str, gib: float | None) -> None:
    needed = needed_bytes(message)
    assert needed == (None if gib is None else int(gib * 2**30))


def test_what_does_not_divide_is_refused_by_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    if util.find_spec("libtpu") is None:
        pytest.skip("libtpu is not installed: pip install '.[tpu]'")
    with pytest.raises(InputError, match="batch_size 6 does not divide over 4 devices"):
        compile_run(RUN, Execution(), SLICE)
