"""Training steps of this package: `python ours.py SIZE`, or `python ours.py compile LAYERS`."""

import json
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from serving import serve
from sizes import SIZES, Size

from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.flops import training_flops
from scaling_jax.train import Execution, make_mesh
from scaling_jax.train.cores import split_batch_over_cores
from scaling_jax.train.mesh import batch_sharding
from scaling_jax.train.programs import Programs, programs
from scaling_jax.train.schedule import Horizon

MATRIX_SIZE = 1024


def config_of(size: Size) -> RunConfig:
    shape = Shape(
        n_layers=size.n_layers,
        d_model=size.d_model,
        n_heads=size.n_heads,
        d_ff=4 * size.d_model,
        vocab_size=size.vocab_size,
        seq_len=size.seq_len,
        positions="learned",
    )
    optimizer = OptimizerConfig(peak_lr=1e-3, warmup_steps=10)
    return RunConfig(shape, DataConfig(), optimizer, size.batch_size, 1_000_000, 4096)


class Trainer:
    """Steps on random tokens."""

    def __init__(self, size: Size) -> None:
        split_batch_over_cores(size.batch_size)
        self.config, self.mesh = config_of(size), make_mesh()
        self.compiled: Programs = programs(self.config, self.mesh, 1)
        self.horizon = Horizon.of(self.config)
        self.state = self.compiled.init(jax.random.key(0))
        dims = (self.compiled.steps_per_dispatch, size.batch_size, size.seq_len + 1)
        self.n_steps = self.compiled.steps_per_dispatch
        self.tokens = np.random.default_rng(0).integers(0, size.vocab_size, dims, np.int32)

    def dispatch(self, count: int) -> int:
        tokens = jax.device_put(self.tokens, batch_sharding(self.mesh))
        self.state, metrics = self.compiled.train(
            self.state, tokens, jnp.int32(count), self.horizon
        )
        np.asarray(metrics.loss)
        return count


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
    if sys.argv[1] == "compile":
        print(json.dumps(compile_seconds(int(sys.argv[2]))))
        return
    trainer = Trainer(SIZES[sys.argv[1]])
    tokens = trainer.config.tokens_per_step
    facts = {
        "flops": training_flops(trainer.config.shape, tokens, "exact"),
        "matrix_flops": 2 * MATRIX_SIZE**3,
        "steps_per_dispatch": trainer.n_steps,
    }
    works: dict[str, Callable[[], int]] = {
        "step": lambda: trainer.dispatch(trainer.n_steps),
        "matrix": product_of_matrices(),
    }
    if trainer.n_steps > 1:
        works["single"] = lambda: trainer.dispatch(1)
    serve(facts, works)


if __name__ == "__main__":
    main()
