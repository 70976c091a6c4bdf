"""The estimate beside layouts of the TPU compiler (jax 0.10.2, libtpu 0.0.42.1)."""

import pytest

from scaling_jax.accounting.hardware import CHIPS, GIB
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, estimated_memory

# Grouped keys and values, the shape of Llama 3 8B, and the same with the experts of Mixtral.
SIZES = dict(n_layers=32, d_model=4096, n_heads=32, n_kv_heads=8, d_ff=14_336, seq_len=2048)
VOCABULARY = Shape(**SIZES, activation="swiglu", vocab_size=128_000)  # type: ignore[arg-type]
MIXTURE = Shape(
    **SIZES,  # type: ignore[arg-type]
    activation="swiglu",
    vocab_size=32_000,
    n_experts=8,
    experts_per_token=2,
)


@pytest.mark.parametrize(
    ("shape", "batch_size", "chip", "compiled_gib"),
    [(VOCABULARY, 512, "v5e", 11.467), (MIXTURE, 256, "v5p", 15.203)],
    ids=["vocabulary", "mixture"],
)
def test_an_estimate_for_256_chips_is_near_what_the_compiler_lays_out(
    shape: Shape, batch_size: int, chip: str, compiled_gib: float
) -> None:
    optimizer = OptimizerConfig(peak_lr=1.25e-4, warmup_steps=1)
    run = RunConfig(shape, DataConfig(), optimizer, batch_size, 10, 2**20, precision="bfloat16")
    execution = Execution(remat="full", accumulate=1)
    estimated = estimated_memory(run, execution, Chips(CHIPS[chip], 256)).total / GIB
    assert estimated == pytest.approx(compiled_gib, rel=0.15)
