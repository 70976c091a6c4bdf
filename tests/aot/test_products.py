"""Products counted in traced programs of several devices and with kernels."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from jax._src.cudnn import fused_attention_stablehlo

from scaling_jax.accounting.flops import training_flops
from scaling_jax.architectures.products import Products, product_flops
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.execution import Execution
from scaling_jax.mesh_spec import MeshSpec
from scaling_jax.model.kernels import cudnn_attention
from scaling_jax.train.mesh import make_mesh
from scaling_jax.train.traced import traced_training

SHAPE = Shape(n_layers=2, d_model=64, n_heads=4, d_ff=128, vocab_size=256, seq_len=32)
CONFIG = RunConfig(SHAPE, DataConfig(), OptimizerConfig(1e-3, 0), 8, 10, 256)


@pytest.mark.parametrize(
    "sizes", [{"data": 4}, {"fsdp": 4}, {"tensor": 4}, {"fsdp": 2, "tensor": 2}], ids=str
)
@pytest.mark.parametrize("experts", [1, 4])
def test_devices_share_out_the_products_of_one(sizes: dict, experts: int) -> None:
    config = dataclasses.replace(CONFIG, shape=dataclasses.replace(SHAPE, n_experts=experts))
    execution = Execution(attention="xla", loss_chunks=2, steps_per_dispatch=1)
    traced = traced_training(config, make_mesh(MeshSpec(**sizes), jax.devices()[:4]), execution)
    exact = training_flops(config.shape, config.tokens_per_step)
    assert product_flops(traced.jaxpr.jaxpr) == Products(plain=exact)


def test_the_attention_of_a_gpu_is_in_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    # What JAX asks of the machine before it traces.
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91_000)
    monkeypatch.setattr(fused_attention_stablehlo, "check_compute_capability", lambda _: True)
    b, t, h, k = 2, 128, 4, 64
    heads = [jax.ShapeDtypeStruct((b, t, h, k), jnp.bfloat16)] * 3

    def total(*qkv: jax.Array) -> jax.Array:
        return cudnn_attention(*qkv).astype(jnp.float32).sum()

    traced = jax.make_jaxpr(jax.grad(total, (0, 1, 2)))(*heads)
    # Two products forward; backward four and the scores again.
    assert product_flops(traced.jaxpr) == Products(kernels=7 * 2 * b * h * t * t * k)
