"""Many compilations: what is stored, what fails, and how many run at a time."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaling_jax.aot import CompilerFailed, Report, Topology, many
from scaling_jax.aot.many import COMPILER_BYTES, Outcome, Request, compile_many, parallel_compilers
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from tests.aot.made_up import report_of

SHAPE = Shape(n_layers=1, d_model=8, n_heads=1, d_ff=8, vocab_size=8, seq_len=8)
RUN = RunConfig(SHAPE, DataConfig(), OptimizerConfig(1e-3, 1), 8, 10, 1024)
SLICE = Topology.parse("v5e:2x2")
GIVEN = Execution(remat="none", accumulate=1)


def requests(*widths: int) -> list[Request]:
    shapes = [dataclasses.replace(SHAPE, d_ff=width) for width in widths]
    return [Request(dataclasses.replace(RUN, shape=shape), GIVEN, SLICE) for shape in shapes]


class Compiler:
    """Stands in for `compile_run`, and counts the requests."""

    def __init__(self) -> None:
        self.requested: list[int] = []
        self.failing: dict[int, list[Exception]] = {}
        self.running = self.most = 0
        self._lock = threading.Lock()

    def __call__(
        self, config: RunConfig, execution: Execution, topology: Topology, *, step_alone: bool
    ) -> Report:
        width = config.shape.d_ff
        with self._lock:
            self.requested.append(width)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            if self.failing.get(width):
                raise self.failing[width].pop(0)
            return report_of(config, topology)
        finally:
            with self._lock:
                self.running -= 1


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    made = Compiler()
    monkeypatch.setattr(many, "compile_run", made)
    return made


@pytest.fixture
def compiled(tmp_path: Path, compiler: Compiler) -> Callable[..., list[Outcome]]:
    def run(wanted: list[Request], jobs: int = 2) -> list[Outcome]:
        found: Iterator[Outcome] = compile_many(wanted, jobs, tmp_path)
        return sorted(found, key=lambda outcome: outcome.request)

    return run


def test_what_was_compiled_is_found_again(compiled, compiler: Compiler) -> None:
    first = compiled(requests(8, 16))
    assert [outcome.stored for outcome in first] == [False, False]
    again = compiled(requests(8, 16, 24))
    assert [outcome.stored for outcome in again] == [True, True, False]
    assert again[0].found == first[0].found
    assert sorted(compiler.requested) == [8, 16, 24]


def test_one_failure_leaves_the_others(compiled, compiler: Compiler) -> None:
    compiler.failing[16] = [InputError("batch_size 8 does not divide")]
    outcomes = compiled(requests(8, 16, 24))
    assert [isinstance(outcome.found, Report) for outcome in outcomes] == [True, False, True]
    # It is not stored, because another machine or version may compile it.
    assert isinstance(compiled(requests(16))[0].found, Report)


def test_a_killed_compiler_is_started_again_once_it_is_alone(compiled, compiler: Compiler) -> None:
    compiler.failing[16] = [CompilerFailed("killed")]
    outcomes = compiled(requests(8, 16, 24))
    assert all(isinstance(outcome.found, Report) for outcome in outcomes)
    assert compiler.requested[-1] == 16
    compiler.failing[32] = [CompilerFailed("killed")] * 2
    (failed,) = compiled(requests(32))
    assert isinstance(failed.found, CompilerFailed)


def test_an_interrupted_call_keeps_what_it_has(
    tmp_path: Path, compiler: Compiler, compiled
) -> None:
    begun = compile_many(requests(8, 16, 24, 32), 1, tmp_path)
    next(begun)
    begun.close()
    n_made = len(compiler.requested)
    assert 1 <= n_made <= 3
    outcomes = compiled(requests(8, 16, 24, 32))
    assert sum(outcome.stored for outcome in outcomes) == n_made


def test_a_damaged_report_is_compiled_again(tmp_path: Path, compiled, compiler: Compiler) -> None:
    compiled(requests(8))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:20])
    assert not compiled(requests(8))[0].stored
    assert compiler.requested == [8, 8]


def test_a_report_belongs_to_the_options_and_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    (request,) = requests(8)
    keys = {many.key_of(request), many.key_of(request._replace(step_alone=True))}
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--xla_tpu_something=true")
    keys.add(many.key_of(request))
    monkeypatch.setattr(many, "_source", lambda: "changed")
    keys.add(many.key_of(request))
    assert len(keys) == 4


def test_compilers_are_as_many_as_memory_suffices_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "usable_cores", lambda: 8)
    counts = [parallel_compilers(n * COMPILER_BYTES) for n in (0, 1, 3, 100)]
    assert counts == [1, 1, 3, 8]
