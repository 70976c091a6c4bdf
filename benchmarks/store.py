"""Seconds that plan, status and collect take for studies of many runs.

    python benchmarks/store.py [--runs 1000 3000 10000]

The store lies in a temporary directory. A third of its runs have made-up results, a few have failed
or are cancelled, and no run is trained. Every command is its own process, timed to its first line
and to its end. The first `status` prints the progress before it fits the law of the finished runs;
the second `status` finds the stored fit.
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from scaling_jax.accounting.flops import count_params
from scaling_jax.config import RunConfig
from scaling_jax.laws.planning.known import published_law
from scaling_jax.runs.result import Result, write_result
from scaling_jax.study import Store, load_experiment
from scaling_jax.study.store import history

EXPERIMENT = """
from scaling_jax.config import DataConfig
from scaling_jax.shapes import Family
from scaling_jax.study import ConstantBatch, ConstantLR, IsoFlop, Recipe, Study, around

budgets = tuple(1e16 * 1.002**i for i in range({n_runs} // 20))
recipe = Recipe(
    data=DataConfig("embedded", "bytes", repeat=True),
    family=Family(vocab_size=256, seq_len=128),
    peak_lr=ConstantLR(3e-3),
    batch_size=ConstantBatch(8),
)
sizes = around(budgets, params=1e7, at=1e16, exponent=0.5, width=30, n=20)
study = Study("many", recipe, IsoFlop(budgets, sizes))
"""
EVERY_FAILED, EVERY_CANCELLED = 101, 103
COMMAND = [sys.executable, "-c", "from scaling_jax.cli import main; raise SystemExit(main())"]


def fill(root: Path, experiment: Path) -> Store:
    store, noise = Store.create(root, load_experiment(experiment)), np.random.default_rng(0)
    for i, run in enumerate(store.runs()):
        if i % 3 == 0:
            config = run.planned.config
            write_result(
                run.directory,
                Result(
                    status="finished",
                    steps=config.steps,
                    tokens=config.tokens,
                    unique_tokens=config.tokens,
                    loss=loss_of(config, noise),
                    loss_stderr=0.01,
                    bits_per_byte=1.5,
                    train_loss=3.0,
                    tokens_per_second=1e5,
                    data_fingerprint="0123",
                    device="cpu",
                    seconds={"train": 1.0},
                ),
                config,
            )
        elif i % EVERY_FAILED == 0:
            history.record(run.directory, "failed", reason="MemoryError: none left", attempts=3)
        elif i % EVERY_CANCELLED == 0:
            run.cancel()
    return store


def loss_of(config: RunConfig, noise: np.random.Generator) -> float:
    """The loss by equation 10 of Hoffmann et al. 2022, with 0.3 % of noise."""
    law = published_law("chinchilla-hoffmann")
    expected = law.loss(count_params(config.shape).total, config.tokens)
    return float(expected) * math.exp(0.003 * noise.normal())


def timed(*arguments: object) -> tuple[float, float, float]:
    """Seconds to the first line and to the end of a command, and its seconds of CPU time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = time.perf_counter() - began
        process.stdout.read()
    assert process.returncode == 0, command
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return first, time.perf_counter() - began, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 3000, 10000])
    print(f"{'runs':>6}  {'command':8}  {'seconds':>7}  {'to end':>7}  {'of CPU':>7}")
    for n_runs in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory)
            experiment = path / "many.py"
            experiment.write_text(EXPERIMENT.format(n_runs=n_runs))
            store = fill(path / "root", experiment)
            n = len(store.runs())
            for name, arguments in {
                "plan": ("plan", experiment, "--hardware", "h100"),
                "status": ("status", store.directory),
                "again": ("status", store.directory),
                "collect": ("collect", store.directory, "--out", path / "records.parquet"),
            }.items():
                first, seconds, cpu = timed(*arguments)
                print(f"{n:6}  {name:8}  {first:7.2f}  {seconds:7.2f}  {cpu:7.2f}", flush=True)


if __name__ == "__main__":
    main()
