import dataclasses
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling_jax.accounting import flops
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from tests.quick import QUICKLY

SHAPE = Shape(n_layers=2, d_model=64, n_heads=4, d_ff=256, vocab_size=256, seq_len=128)
FLAGS = ("--n-layers", 2, "--d-model", 64, "--n-heads", 4, "--vocab-size", 256, "--seq-len", 128)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shape = Shape(n_layers=2, d_model=8, n_heads=1, d_ff=32, vocab_size=256, seq_len=32)
    optimizer = OptimizerConfig(peak_lr=1e-2, warmup_steps=2)
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"Paragraph {i} of {i * i % 97} words." for i in range(2000)))
    data = DataConfig(corpus=f"text:{text}")
    run = RunConfig(shape, data, optimizer, batch_size=8, steps=6, eval_tokens=1024)
    path = tmp_path / "run.json"
    path.write_text(run.to_json())
    return path


def test_flops_of_flags(cli: Callable) -> None:
    account = cli("flops", *FLAGS, "--tokens", 1e9, "--json").json
    assert account["params"]["total"] == flops.count_params(SHAPE).total
    for name in flops.CONVENTIONS:
        assert account["training_flops"][name] == flops.training_flops(SHAPE, 10**9, name)
        parts = account["forward_flops_per_token"][name].values()
        assert 3 * sum(parts) == account["training_flops_per_token"][name]


def test_flops_of_experts(cli: Callable) -> None:
    experts = ("--n-experts", 8, "--experts-per-token", 2, "--capacity", 3)
    account = cli("flops", *FLAGS, *experts, "--json").json
    shape = dataclasses.replace(SHAPE, n_experts=8, experts_per_token=2, capacity=3.0)
    counted = flops.count_params(shape)
    assert account["params"]["total"] == counted.total > counted.active
    assert account["params"]["active"] == counted.active
    assert account["training_flops_per_token"]["6nd"] == 6 * counted.active
    assert "other_experts" in cli("flops", *FLAGS, *experts).out
    assert "expert" not in cli("flops", *FLAGS).out
    code, _, error = cli("flops", *FLAGS, "--experts-per-token", 2)
    assert code == 2
    assert "experts_per_token 2 is more than n_experts 1" in error


def test_flops_of_a_run(cli: Callable, config: Path) -> None:
    run = RunConfig.from_json(config.read_text())
    account = cli("flops", config, "--json").json
    assert account["tokens"] == run.tokens
    assert account["params"]["total"] == flops.count_params(run.shape).total
    assert cli("flops", config, *FLAGS).code == 2


def test_flops_in_words(cli: Callable) -> None:
    code, out, _ = cli("flops", *FLAGS)
    assert code == 0
    assert f"{flops.count_params(SHAPE).total:,}" in out


def test_doctor_says_whether_the_cache_can_be_written(
    cli: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for place, writable in ((tmp_path / "new", True), (tmp_path / "file" / "below", False)):
        monkeypatch.setenv("SCALING_JAX_CACHE", str(place))
        found = cli("doctor", "--json").json
        assert found["cache"] == {"directory": str(place), "writable": writable}
    assert found["packages"]["jax"]
    assert found["measured_cpu_flops"]["float32"] > 0
    if platform.libc_ver()[0] == "glibc":
        assert "trim_threshold" in found["allocator"]
    assert "NOT writable" in cli("doctor").out


def test_train_ends_in_a_result_that_is_not_trained_again(config: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from scaling_jax.cli import main; sys.exit(main())",
    ]
    command += ["train", str(config), "--root", "relative"]
    changes = {"SCALING_JAX_CACHE": str(tmp_path / "cache"), "XLA_FLAGS": QUICKLY}
    environment = os.environ | changes
    first, second = (
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    run_id = RunConfig.from_json(config.read_text()).run_id
    assert first.stdout.startswith(f"{run_id}: loss ")
    assert second.stdout == first.stdout
    assert (tmp_path / "relative" / run_id / "result.json").exists()


PROGRAM = """
import os, sys
from scaling_jax.cli import app
app.COMMANDS["train"] = lambda: print(os.getpid(), os.environ.get("GLIBC_TUNABLES"))
print(os.getpid(), sys.flags.utf8_mode, flush=True)
sys.exit(app.main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_training_runs_with_the_allocators_settings_in_the_same_process() -> None:
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"}
    command = [sys.executable, "-X", "utf8", "-c", PROGRAM, "train"]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    *starts, (pid, tunables) = (line.split() for line in printed.stdout.splitlines())
    assert starts == [[pid, "1"]] * 2
    # What the user set stays.
    assert tunables.startswith("glibc.malloc.hugetlb=2:")
    assert "trim_threshold" in tunables


def test_a_kernel_that_cannot_run_here_is_refused_before_training(
    cli: Callable, config: Path, tmp_path: Path
) -> None:
    command = ("train", config, "--root", tmp_path / "out")
    for flags, message in (
        (("--attention", "splash"), "attention 'splash' runs on TPUs, not on 'cpu': use 'blocks'"),
        (("--accumulate", 3), "accumulate 3 does not divide batch_size 8: choose one of"),
    ):
        code, _, error = cli(*command, *flags)
        assert code == 2
        assert message in error
