"""`compile`: choosing the run, saying what it needs, and ending in the right code."""

import dataclasses
import json
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from scaling_jax import aot
from scaling_jax.accounting import flops
from scaling_jax.accounting.hardware import GIB
from scaling_jax.aot import Report, Topology, many
from scaling_jax.aot.report import ChipMemory, Program
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.execution import Execution
from scaling_jax.study.plan.named_study import load_study
from tests.aot.made_up import report_of

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SHAPE = Shape(n_layers=2, d_model=64, n_heads=2, d_ff=128, vocab_size=256, seq_len=128)
RUN = RunConfig(SHAPE, DataConfig(), OptimizerConfig(1e-3, 1), 8, 10, 1024, precision="bfloat16")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text(RUN.to_json())
    return path


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Requests to the compiler, which answers that a run needs 20 bytes a parameter."""
    requested: list[tuple] = []

    def compile_run(config: RunConfig, execution: Execution, topology: Topology) -> Report:
        requested.append((config, execution, topology))
        return report_of(config, topology)

    monkeypatch.setattr(aot, "compile_run", compile_run)
    return requested


def test_the_largest_run_of_a_study_by_default(cli: Callable, compiled: list[tuple]) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    plan = cli("plan", experiment, "--hardware", "v5p", "--json").json["runs"]
    code, out, _ = cli("compile", experiment, "--topology", "v5p:4x4x4", "--remat", "full")
    assert code == 0
    config, execution, topology = compiled.pop()
    assert flops.count_params(config.shape).total == max(run["params"] for run in plan)
    assert (execution.remat, topology.name) == ("full", "v5p:4x4x4")
    assert config.run_id in out
    assert "fits                yes" in out
    assert cli("compile", experiment, "--topology", "v5p-128", "--run", plan[0]["run_id"][:10])
    assert compiled.pop()[0].run_id == plan[0]["run_id"]


def test_a_report_in_words_and_as_json(cli: Callable, config: Path, compiled: list) -> None:
    code, out, err = cli("compile", config, "--topology", "v5e:4x4")
    assert code == 0
    assert "which can take minutes" in err
    assert "1e15 in the model's matrix products, 1.33e15 in the program's (33% more)" in out
    # 1.283e15 FLOPs at 16 times 197 TFLOP/s; 0.9 GB at 200 GB/s each way.
    assert "407 ms: compute (compute 407 ms" in out
    assert "interconnect 4.5 ms" in out
    assert "at most 74% of the peak" in out
    assert out.splitlines()[-1].split() == ["all-gather", "16", "72", "1,000.0", "900.0", "67%"]
    assert "overlapped          67% of the sent bytes" in out
    report = cli("compile", config, "--topology", "v5e:4x4", "--json").json
    assert report["fits"] is True
    assert report["memory"]["available"] == int(15.75 * GIB)
    assert report["step_seconds_at_least"] == pytest.approx(1.2833e15 / 16 / 197e12, rel=1e-3)
    assert report["collectives"][0]["kind"] == "all-gather"


def test_what_does_not_fit_ends_in_2_with_what_would(cli: Callable, compiled: list) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    code, out, err = cli("compile", experiment, "--topology", "v5e:4x4", "--json")
    assert code == 2
    assert json.loads(out)["fits"] is False
    last = err.splitlines()[-1]
    assert "does not fit on v5e:4x4: it needs" in last
    assert "GiB of the 15.8 GiB" in last
    assert "Estimated to fit: " in last


def test_a_run_whose_evaluation_does_not_fit_does_not_fit(
    cli: Callable, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_run(config: RunConfig, execution: Execution, topology: Topology) -> Report:
        available = topology.chip.usable_bytes
        refused = ChipMemory(0, available, parts_known=False)
        others = [
            Program("restore", ChipMemory(GIB, available), 1.0),
            Program("evaluation", refused, 2.0),
        ]
        return dataclasses.replace(report_of(config, topology), others=others)

    monkeypatch.setattr(aot, "compile_run", compile_run)
    code, out, err = cli("compile", config, "--topology", "v5e:2x2")
    assert code == 2
    assert "fits                NO" in out
    rows = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["step"][-3] == rows["check of a restored checkpoint"][-3] == "yes"
    assert rows["evaluation"][-3] == "NO"
    assert "does not fit on v5e:2x2: its evaluation needs more than the 15.8 GiB" in err


def of_every_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: Callable) -> list[int]:
    """Stand `outcome` in for the compiler of each run of a study; the requested sizes."""
    requested: list[int] = []

    def compile_run(config: RunConfig, *rest: Any, step_alone: bool) -> Report:
        requested.append(flops.count_params(config.shape).total)
        return outcome(requested[-1], config, rest[-1])

    monkeypatch.setattr(many, "compile_run", compile_run)
    monkeypatch.setattr(util, "find_spec", lambda name: object())
    monkeypatch.setenv("SCALING_JAX_CACHE", str(tmp_path))
    return requested


def test_every_program_of_a_study_is_compiled_once(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requested = of_every_run(monkeypatch, tmp_path, lambda n, config, on: report_of(config, on))
    runs = {run.config.run_id: run.config for run in load_study("chinchilla-isoflop").plan()}
    sizes = {flops.count_params(config.shape).total for config in runs.values()}
    options = ("--hardware", "v5p", "--chips", "64", "--price", "2", "--json")
    rows = cli("compile", "chinchilla-isoflop", *options).json
    assert sorted(requested) == sorted(row["params"] for row in rows) == sorted(sizes)
    ids = [run_id for row in rows for run_id in row["run_ids"]]
    assert sorted(ids) == sorted(runs)
    for row in rows:
        assert row["steps"] == sum(runs[run_id].steps for run_id in row["run_ids"])
        hours = row["steps"] * row["report"]["step_seconds_at_least"] / 3600
        assert row["hours_at_least"] == pytest.approx(hours)
        assert row["price_at_least"] == pytest.approx(2 * 64 * hours)
    # Another call finds what this one has stored.
    code, out, _ = cli("compile", "chinchilla-isoflop", *options[:-1])
    assert (code, len(requested)) == (0, len(sizes))
    assert f"{len(ids)} of {len(ids)} runs fit on v5p:4x4x4" in out
    assert out.count(" stored ") == len(sizes)


def test_one_run_that_fails_or_does_not_fit_is_a_row(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def outcome(n: int, config: RunConfig, topology: Topology) -> Report:
        if 1e9 < n < 1.2e9:
            raise aot.CompilerFailed("the compiler for v5p:4x4x4 was killed")
        report = report_of(config, topology)
        too_much = ChipMemory(97 * GIB, topology.chip.usable_bytes, parts_known=False)
        return report if n < 5e9 else dataclasses.replace(report, memory=too_much, bounds=None)

    of_every_run(monkeypatch, tmp_path, outcome)
    options = ("--hardware", "v5p", "--chips", "64")
    code, out, err = cli("compile", "chinchilla-isoflop", *options)
    assert code == 1
    assert err.splitlines()[-1] == "some programs could not be compiled"
    table, _, summary = out.partition("\n\n")
    assert sum(" failed " in line for line in table.splitlines()) >= 1
    assert sum(" NO (step) " in line for line in table.splitlines()) >= 1
    assert sum(" yes " in line for line in table.splitlines()) >= 10
    assert "the compiler for v5p:4x4x4 was killed" in summary
    assert "step needs 97 GiB of the 95.7 GiB that a program can have" in summary


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ((), "give --topology CHIP:DIMS to compile one run, or --hardware"),
        (("--topology", "v5e:4x4", "--jobs", "2"), "compiles one run, so --jobs does not apply"),
        (("--hardware", "v5e", "--chips", "16"), "--hardware compiles every run of a study"),
        (("--topology", "v5e:3x3"), "v5e has v5e:1x1"),
        (("--topology", "v5e:4x4", "--run", "0123"), "--run chooses among a study's runs"),
    ],
)
def test_bad_options_are_refused(
    cli: Callable, config: Path, compiled: list, options: tuple, printed: str
) -> None:
    code, out, err = cli("compile", config, *options)
    assert (code, out, compiled) == (2, "", [])
    assert printed in err


def test_a_run_that_is_not_in_the_study_is_refused(cli: Callable, compiled: list) -> None:
    experiment = EXPERIMENTS / "chinchilla_isoflop.py"
    code, _, err = cli("compile", experiment, "--topology", "v5e:4x4", "--run", "zz")
    assert (code, compiled) == (2, [])
    assert "'zz' names none of the study's" in err


def test_an_ended_compiler_is_a_failure(
    cli: Callable, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*args: Any) -> None:
        raise aot.CompilerFailed("the compiler for v5e:4x4 was killed")

    monkeypatch.setattr(aot, "compile_run", ended)
    code, _, err = cli("compile", config, "--topology", "v5e:4x4")
    assert (code, err.splitlines()[-1]) == (1, "the compiler for v5e:4x4 was killed")


def test_a_missing_compiler_is_refused_with_how_to_install_it(
    cli: Callable, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    for topology, extra in (("v5e:2x2", "tpu"), ("h100:8", "cuda")):
        code, _, err = cli("compile", config, "--topology", topology)
        assert code == 2
        assert f"pip install 'scaling_jax[{extra}]'" in err


@pytest.mark.skipif(
    util.find_spec("libtpu") is None, reason="libtpu is not installed: pip install '.[tpu]'"
)
def test_a_small_run_compiled_for_a_slice(cli: Callable, config: Path) -> None:
    report = cli("compile", config, "--topology", "v5e:2x2", "--json").json
    assert report["fits"] is True
    exact = flops.training_flops(SHAPE, RUN.tokens_per_step)
    assert report["flops"]["exact"] == exact
    assert report["flops"]["program"] >= exact
    state = 12 * flops.count_params(SHAPE).total
    # A TPU stores narrow matrices in wider tiles.
    assert state <= report["memory"]["arguments"] < 2 * state
    summed = [one for one in report["collectives"] if one["kind"] == "all-reduce"]
    # Data parallel: every gradient is summed over the chips, in float32.
    assert sum(one["bytes"] for one in summed) >= state / 3
    assert dataclasses.replace(RUN).run_id == report["run_id"]
    # Sixteen steps are dispatched together, and every program has the state in memory.
    others = {one["name"]: one["memory"] for one in report["others"]}
    assert set(others) == {"steps", "restore", "start", "evaluation"}
    assert all(memory["needed"] >= state for memory in others.values())
