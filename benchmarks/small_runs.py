"""Small runs of one study beside the same runs in one `train` process each, on the CPU.

    python benchmarks/small_runs.py replicas [--steps 100 300] [--rounds 1] [--ways chosen,packed]
    python benchmarks/small_runs.py study

The times are wall-clock times from the start of the first process to the last result, start-up and
compilation included. Every way starts with prepared tokens and without compiled programs.

- replicas: 8 runs of 0.12M parameters that differ in seed and learning rate, with 2,048 tokens per
  step. Longer runs leave less to save, because every way keeps all cores busy while it trains.
- study: 24 runs of 0.02M to 0.3M parameters at four budgets, from 5e10 to 4e11 FLOPs.

The ways to train them are:

- one after the other: `scaling-jax train` for each run, with the batch split over the cores.
- chosen: the default of `scaling-jax run`, one process per core.
- packed: all runs in one program, in one process (`--workers 1 --pack 8`).
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
from scaling_jax.accounting.flops import training_flops
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig
from scaling_jax.runs.result import read_result
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, IsoFlop, PowerLawLR, Recipe, Store, Study
from scaling_jax.study.plan.design import PlannedRun
from scaling_jax.system.environment import training_environment

N_REPLICAS = 8
TARGETS = {"replicas": 0.45, "study": 1 / 1.6}
BUDGETS = (5e10, 1e11, 2e11, 4e11)
SIZES_OF_STUDY = (20e3, 35e3, 60e3, 100e3, 175e3, 300e3)
COMMAND = "import sys; from scaling_jax.cli import main; sys.exit(main())"
TRAIN_ALL = """
import sys
from etils import epath
from scaling_jax.system.environment import restart_tuned
from scaling_jax.system.compilation import use_compilation_cache
from scaling_jax.study import train_runs
from scaling_jax.study.store.store import Store
restart_tuned()
use_compilation_cache()
workers, pack = (int(word) if word != "chosen" else None for word in sys.argv[2:])
train_runs(Store(epath.Path(sys.argv[1])).runs(), workers=workers, pack=pack, progress=False)
"""


def replicas(steps: int) -> list[PlannedRun]:
    size = SIZES["0.12M"]
    shape = size.shape("rotary")
    first = RunConfig(
        shape, DataConfig("embedded"), OptimizerConfig(3e-3, 20), size.batch_size, steps, 65_536
    )
    runs = [
        replace(first, seed=i % 2, optimizer=replace(first.optimizer, peak_lr=1e-3 * (1 + i // 2)))
        for i in range(N_REPLICAS)
    ]
    return [
        PlannedRun(run, training_flops(run.shape, run.tokens, "6nd"), "grid", "6nd") for run in runs
    ]


def runs_of_study() -> list[PlannedRun]:
    recipe = Recipe(
        data=DataConfig("embedded", "bytes"),
        family=Family(vocab_size=256, seq_len=128),
        peak_lr=PowerLawLR(value=6e-3, reference_params=60e3),
        batch_size=ConstantBatch(8),
        eval_tokens=65_536,
    )
    return list(Study("small", recipe, IsoFlop(BUDGETS, (SIZES_OF_STUDY,) * 4)).plan())


def timed(folder: Path, runs: list[PlannedRun], way: str) -> float:
    """Wall-clock seconds of `way` in an empty folder; fails unless every run finishes."""
    environment = training_environment() | {
        "JAX_PLATFORMS": "cpu",
        "SCALING_JAX_CACHE": str(folder / "cache"),
    }
    data.prepare("embedded", "bytes", folder / "cache", progress=False)
    store = Store(epath.Path(folder / "store"))
    (folder / "store" / "runs").mkdir(parents=True)
    stored = [store.add(run) for run in runs]
    if way == "one after the other":
        root = str(folder / "store" / "runs")
        commands = [
            [sys.executable, "-c", COMMAND, "train", run.directory / "config.json", "--root", root]
            for run in stored
        ]
    else:
        options = {"chosen": ("chosen", "chosen"), "packed": ("1", str(len(runs)))}[way]
        commands = [[sys.executable, "-c", TRAIN_ALL, folder / "store", *options]]
    start = time.perf_counter()
    for command in commands:
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    for run in stored:
        result = read_result(run.directory, run.planned.config)
        assert result is not None
        assert result.status == "finished", run.run_id
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=TARGETS)
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", default="chosen")
    arguments = parser.parse_args()
    ways = ["one after the other", *arguments.ways.split(",")]
    if arguments.what == "study":
        studies = [runs_of_study()]
    else:
        studies = [replicas(steps) for steps in arguments.steps]
    met = [compare(runs, ways, arguments.rounds, TARGETS[arguments.what]) for runs in studies]
    sys.exit(not all(met))


def compare(runs: list[PlannedRun], ways: list[str], rounds: int, target: float) -> bool:
    """Print the time that `runs` take in each way; return whether the fastest meets the target."""
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                fastest[way] = min(fastest[way], timed(Path(folder), runs, way))
    tokens = [run.config.tokens for run in runs]
    print(f"{len(runs)} runs of {min(tokens):,} to {max(tokens):,} tokens")
    for way, seconds in fastest.items():
        ratio = seconds / fastest["one after the other"]
        print(f"{way:20} {seconds:7.1f} s   {ratio:.2f} of one after the other")
    best = min(fastest[way] for way in ways[1:]) / fastest["one after the other"]
    verdict = "met" if best <= target else "not met"
    print(f"target: at most {target:.2f} of one after the other: {verdict} at {best:.2f}")
    return best <= target


if __name__ == "__main__":
    main()
