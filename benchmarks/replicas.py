"""Eight runs of 0.12M parameters at once against one after the other, on the CPU.

    python benchmarks/replicas.py [--steps 300] [--rounds 1] [--ways chosen,packed]

Whole wall times, from starting the first process to the last result, start-up and compilation
included. The runs differ in seed and learning rate. Every way starts with tokens prepared and
nothing compiled.

- one after the other: `scaling-jax train` for each, which shares a batch over the cores.
- chosen: what `scaling-jax run` does by default, a process to a core.
- packed: all in one program, in one process (`--workers 1 --pack 8`).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from etils import epath
from peers.sizes import SIZES

from scaling_jax import data
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.environment import training_environment
from scaling_jax.flops import training_flops
from scaling_jax.study.design import PlannedRun
from scaling_jax.study.store import Store
from scaling_jax.train import read_result

N_RUNS = 8
TARGET = 0.45
COMMAND = "import sys; from scaling_jax.cli import main; sys.exit(main())"
TRAIN_ALL = """
import sys
from etils import epath
from scaling_jax.environment import restart_tuned
from scaling_jax.study import train_runs
from scaling_jax.study.store import Store
from scaling_jax.train import use_compilation_cache
restart_tuned()
use_compilation_cache()
workers, pack = (int(word) if word != "chosen" else None for word in sys.argv[2:])
train_runs(Store(epath.Path(sys.argv[1])).runs(), workers=workers, pack=pack, progress=False)
"""


def configs(steps: int) -> list[RunConfig]:
    size = SIZES["0.12M"]
    shape = Shape(
        n_layers=size.n_layers,
        d_model=size.d_model,
        n_heads=size.n_heads,
        d_ff=4 * size.d_model,
        vocab_size=size.vocab_size,
        seq_len=size.seq_len,
    )
    first = RunConfig(
        shape, DataConfig("embedded"), OptimizerConfig(3e-3, 20), size.batch_size, steps, 65_536
    )
    return [
        replace(first, seed=i % 2, optimizer=replace(first.optimizer, peak_lr=1e-3 * (1 + i // 2)))
        for i in range(N_RUNS)
    ]


def timed(folder: Path, runs: list[RunConfig], way: str) -> float:
    """Wall seconds of `way` in a fresh folder; every run must have finished."""
    environment = training_environment() | {
        "JAX_PLATFORMS": "cpu",
        "SCALING_JAX_CACHE": str(folder / "cache"),
    }
    data.prepare("embedded", "bytes", folder / "cache", progress=False)
    store = Store(epath.Path(folder / "store"))
    (folder / "store" / "runs").mkdir(parents=True)
    stored = [
        store.add(PlannedRun(run, training_flops(run.shape, run.tokens, "6nd"), "grid", "6nd"))
        for run in runs
    ]
    if way == "one after the other":
        root = str(folder / "store" / "runs")
        commands = [
            [sys.executable, "-c", COMMAND, "train", run.directory / "config.json", "--root", root]
            for run in stored
        ]
    else:
        options = {"chosen": ("chosen", "chosen"), "packed": ("1", str(N_RUNS))}[way]
        commands = [[sys.executable, "-c", TRAIN_ALL, folder / "store", *options]]
    start = time.perf_counter()
    for command in commands:
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    for run in stored:
        result = read_result(run.directory)
        assert result is not None
        assert result.status == "finished", run.run_id
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", default="chosen,packed")
    arguments = parser.parse_args()
    runs = configs(arguments.steps)
    ways = ["one after the other", *arguments.ways.split(",")]
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(arguments.rounds):
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                fastest[way] = min(fastest[way], timed(Path(folder), runs, way))
    print(f"{N_RUNS} runs of {arguments.steps} steps, {runs[0].tokens:,} tokens each")
    for way, seconds in fastest.items():
        ratio = seconds / fastest["one after the other"]
        print(f"{way:20} {seconds:7.1f} s   {ratio:.2f} of one after the other")
    best = min(fastest[way] for way in ways[1:]) / fastest["one after the other"]
    verdict = "met" if best <= TARGET else "not met"
    print(f"target: at most {TARGET} of one after the other: {verdict} at {best:.2f}")
    sys.exit(best > TARGET)


if __name__ == "__main__":
    main()
