"""Training steps of this package.

python ours.py SIZE [EXPERTS]       steps of one run
python ours.py replicas SIZE N      steps of one run, and of N in one program
python ours.py compile LAYERS       seconds to compile
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from serving import serve
from sizes import SIZES, Size

from scaling_jax.accounting.flops import training_flops
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig
from scaling_jax.system.cores import split_batch_over_cores
from scaling_jax.train import Execution, make_mesh
from scaling_jax.train.mesh import batch_sharding
from scaling_jax.train.programs import Programs, programs
from scaling_jax.train.schedule import Horizon

MATRIX_SIZE = 1024


def config_of(size: Size, n_experts: int = 1) -> RunConfig:
    optimizer = OptimizerConfig(peak_lr=1e-3, warmup_steps=10)
    data, steps, eval_tokens = DataConfig(), 1_000_000, 4096
    return RunConfig(
        size.shape("learned", n_experts),
        data,
        optimizer,
        size.batch_size,
        steps,
        eval_tokens,
        precision=size.precision,
    )


class Trainer:
    """Steps on random tokens of `n_runs` runs that share a program."""

    def __init__(self, size: Size, n_runs: int = 1, n_experts: int = 1) -> None:
        split_batch_over_cores(size.batch_size)
        self.config, self.mesh, self.n_runs = config_of(size, n_experts), make_mesh(), n_runs
        self.compiled: Programs = programs(self.config, self.mesh, 1, n_runs=n_runs)
        self.horizon = jax.tree.map(self.of_each, Horizon.of(self.config))
        self.state = self.compiled.pack(
            *map(self.compiled.init, jax.random.split(jax.random.key(0), n_runs))
        )
        self.n_steps = self.compiled.steps_per_dispatch
        dims = [self.n_steps, n_runs, size.batch_size, size.seq_len + 1]
        tokens = np.random.default_rng(0).integers(0, size.vocab_size, dims, np.int32)
        self.tokens = tokens if n_runs > 1 else tokens[:, 0]

    def of_each(self, value: float) -> np.ndarray:
        """A number for every run, as the program takes it."""
        return np.full([self.n_runs] if self.n_runs > 1 else [], value, np.float32)

    def dispatch(self, count: int) -> int:
        """Take `count` steps of every run and wait for them; the steps of all together."""
        sharding = batch_sharding(self.mesh, packed=self.n_runs > 1)
        tokens = jax.device_put(self.tokens, sharding)
        counts = self.of_each(count).astype(np.int32)
        self.state, metrics = self.compiled.train(self.state, tokens, counts, self.horizon)
        np.asarray(metrics.loss)
        return count * self.n_runs


def product_of_matrices() -> Callable[[], int]:
    """One product of the kind that `doctor` measures a CPU by."""
    matrix = jnp.ones((MATRIX_SIZE, MATRIX_SIZE), jnp.float32)
    product = jax.jit(jnp.matmul)

    def multiply() -> int:
        product(matrix, matrix).block_until_ready()
        return 1

    return multiply


def compile_seconds(n_layers: int) -> float:
    """Seconds to trace and compile a scanned model of a few million parameters."""
    config = config_of(SIZES["3M"]._replace(n_layers=n_layers))
    start = time.perf_counter()
    programs(config, make_mesh(), 1, Execution(scan_layers=True))
    return time.perf_counter() - start


def main() -> None:
    kind, *arguments = sys.argv[1:]
    if kind == "compile":
        print(json.dumps(compile_seconds(int(arguments[0]))))
        return
    if kind == "replicas":
        runs = {"alone": 1, "together": int(arguments[1])}
        trainers = {name: Trainer(SIZES[arguments[0]], n) for name, n in runs.items()}
        serve({}, {name: all_steps(trainer) for name, trainer in trainers.items()})
        return
    trainer = Trainer(SIZES[kind], n_experts=int(arguments[0]) if arguments else 1)
    config, device = trainer.config, jax.devices()[0]
    facts: dict[str, Any] = {
        "flops": training_flops(config.shape, config.tokens_per_step, "exact"),
        "steps_per_dispatch": trainer.n_steps,
        "device": device.device_kind,
    }
    works = {"step": all_steps(trainer)}
    if device.platform == "cpu":
        facts["matrix_flops"] = 2 * MATRIX_SIZE**3
        works["matrix"] = product_of_matrices()
        if trainer.n_steps > 1:
            works["single"] = lambda: trainer.dispatch(1)
    serve(facts, works)


def all_steps(trainer: Trainer) -> Callable[[], int]:
    """A whole dispatch of `trainer`."""
    return lambda: trainer.dispatch(trainer.n_steps)


if __name__ == "__main__":
    main()
