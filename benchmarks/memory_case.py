"""A run on chips whose estimated memory is compared with the compiler's, and the shapes of runs."""

from dataclasses import dataclass, replace

from scaling_jax.aot import Topology
from scaling_jax.aot.many import Request
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, estimated_memory
from scaling_jax.mesh_spec import MeshSpec
from scaling_jax.shapes import CHINCHILLA_MILLIONS, CHINCHILLA_SHAPES

A9 = dict(zip(CHINCHILLA_MILLIONS, CHINCHILLA_SHAPES, strict=True))
SMALLEST = Shape(n_layers=8, d_model=256, n_heads=4, d_ff=1024, vocab_size=32_000, seq_len=1024)
WIDE = Shape(n_layers=4, d_model=1024, n_heads=8, d_ff=4096, vocab_size=32_000, seq_len=1024)
WIDER = Shape(n_layers=8, d_model=2048, n_heads=16, d_ff=8192, vocab_size=32_000, seq_len=2048)
# Chinchilla itself: Hoffmann et al. 2022, table 4, with this package's feed-forward width.
LARGEST = Shape(80, 8192, 64, d_ff=4 * 8192, vocab_size=32_000, seq_len=2048)
EXPERTS = Shape(
    n_layers=8, d_model=1024, n_heads=8, d_ff=2048, vocab_size=32_000, seq_len=1024, n_experts=8
)
# The shape of Llama 2 7B (Touvron et al. 2023), and one with grouped keys and values.
SEVEN = Shape(32, 4096, 32, d_ff=11_008, vocab_size=32_000, seq_len=4096, activation="swiglu")
GROUPED = replace(SEVEN, n_kv_heads=8, d_ff=14_336, vocab_size=128_000, seq_len=2048)

NONE = Execution(remat="none", accumulate=1)
DOTS = Execution(remat="dots", accumulate=1)
FULL = Execution(remat="full", accumulate=1)
SMALL_GPT = Shape(12, 768, 12, d_ff=3072, vocab_size=128_000, seq_len=1024)
# The shape of Gemma 2B (Gemma Team 2024), and one with the experts of Mixtral (Jiang et al. 2024).
ONE_KEY = replace(
    WIDER,
    n_layers=18,
    n_heads=8,
    d_ff=16_384,
    vocab_size=256_000,
    head_dim=256,
    n_kv_heads=1,
    activation="swiglu",
)
MIXTURE = replace(GROUPED, vocab_size=32_000, n_experts=8, experts_per_token=2)
WIDE_EXPERTS = replace(WIDER, n_layers=16, d_ff=4096, n_experts=8)
# The shapes of Llama 2 13B (Touvron et al. 2023) and Llama 3 70B (Grattafiori et al. 2024), both
# with the vocabulary of the latter.
THIRTEEN = replace(
    SEVEN,
    n_layers=40,
    d_model=5120,
    n_heads=40,
    n_kv_heads=40,
    head_dim=128,
    d_ff=13_824,
    vocab_size=128_256,
    tied_embedding=False,
)
SEVENTY = replace(THIRTEEN, n_layers=80, d_model=8192, n_heads=64, n_kv_heads=8, d_ff=28_672)
SWITCH = replace(SMALL_GPT, vocab_size=32_000)
GROUPED_EXPERTS = replace(
    WIDER, n_layers=24, n_kv_heads=4, d_ff=5632, activation="swiglu", n_experts=8
)
FINE = replace(GROUPED_EXPERTS, d_ff=1408, vocab_size=100_352, n_experts=32, experts_per_token=2)
BROAD = replace(GROUPED_EXPERTS, n_layers=20, d_model=3072, n_heads=24, n_kv_heads=8, d_ff=8192)
FOUR_CHOICES = replace(WIDER, n_layers=12, d_model=1536, n_heads=12, n_kv_heads=12, d_ff=1536)


@dataclass(frozen=True)
class Case:
    """One row of the grid."""

    shape: Shape
    name: str
    batch_size: int
    topology: str
    execution: Execution

    @property
    def request(self) -> Request:
        """What is compiled."""
        optimizer = OptimizerConfig(peak_lr=1.25e-4, warmup_steps=1)
        config = RunConfig(
            self.shape, DataConfig(), optimizer, self.batch_size, 10, 2**20, precision="bfloat16"
        )
        return Request(config, self.execution, Topology.parse(self.topology), step_alone=True)

    @property
    def estimated_bytes(self) -> int:
        """Estimated bytes on each chip."""
        config, execution, topology, _ = self.request
        chips = Chips(topology.chip, topology.n_chips)
        device = estimated_memory(config, execution, chips)
        return device.total * chips.chip.jax_devices

    def on_a_chip(self, device_bytes: int) -> int:
        """Bytes on a chip whose devices need `device_bytes` each."""
        return device_bytes * self.request.topology.chip.jax_devices

    @property
    def title(self) -> str:
        """Name, chips and options."""
        words = [self.name, f"batch {self.batch_size}", self.topology]
        words += [f"remat {self.execution.policy}"]
        if self.execution.microbatches > 1:
            words.append(f"accumulate {self.execution.microbatches}")
        mesh = {axis: n for axis, n in self.execution.mesh.sizes.items() if n not in (None, 1)}
        return ", ".join([*words, *(f"{axis} {n}" for axis, n in mesh.items())])


def tensor(execution: Execution, n: int) -> Execution:
    """`execution` with tensor parallelism."""
    return replace(execution, mesh=MeshSpec(tensor=n))


def accumulate(execution: Execution, n: int) -> Execution:
    """`execution` with microbatches."""
    return replace(execution, accumulate=n)


def vocabulary(shape: Shape, n: int, tied: bool = True) -> Shape:
    """`shape` with a vocabulary of `n` ids."""
    return replace(shape, vocab_size=n, tied_embedding=tied)


def experts(shape: Shape, n: int, per_token: int = 1) -> Shape:
    """`shape` with `n` experts in each layer."""
    return replace(shape, n_experts=n, experts_per_token=per_token)
