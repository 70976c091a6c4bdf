"""The estimate of `plan` beside the memory of the compiled step, over a grid of runs and chips.

    pip install -e '.[tpu]'
    python benchmarks/memory.py                     # 30 cases, some seconds each
    python benchmarks/memory.py "1.6B v5p"          # cases whose names contain both words

The compiler's figures are what it lays out for a step, everything on a chip but the program's code
included. They are stored in the cache directory, so an interrupted or repeated call compiles only
what is missing. Cases with `+` are kept aside: what the estimate counts is decided on the others.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from laid_out import laid_out_bytes

from scaling_jax.accounting.flops import count_params
from scaling_jax.accounting.hardware import GIB
from scaling_jax.aot import Topology
from scaling_jax.aot.many import Request
from scaling_jax.config import DataConfig, OptimizerConfig, RunConfig, Shape
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, estimated_memory
from scaling_jax.mesh_spec import MeshSpec
from scaling_jax.shapes import CHINCHILLA_MILLIONS, CHINCHILLA_SHAPES

JOBS = 2
WITHIN = 0.15

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


CASES = [
    Case(SMALLEST, "10M", 32, "v5e:1x1", NONE),
    Case(A9[74], "74M", 256, "v5e:4x4", NONE),
    Case(A9[140], "140M", 256, "v5e:4x4", DOTS),
    Case(A9[306], "306M", 256, "v5e:4x4", FULL),
    Case(A9[306], "306M", 256, "v5e:4x4", replace(NONE, accumulate=4)),
    Case(WIDE, "83M wide", 8, "v5e:1x1", FULL),
    Case(WIDE, "83M wide", 8, "v5e:1x1", DOTS),
    Case(WIDE, "83M wide", 16, "v5e:1x1", NONE),
    Case(
        replace(WIDE, activation="swiglu", qk_norm=True), "100M SwiGLU qk-norm", 8, "v5e:1x1", NONE
    ),
    Case(WIDER, "470M", 4, "v5e:1x1", FULL),
    Case(A9[1593], "1.6B", 256, "v5e:4x4", replace(FULL, accumulate=4)),
    Case(A9[1593], "1.6B", 256, "v5e:8x8", FULL),
    Case(A9[1593], "1.6B", 256, "v5p:2x2x4", FULL),
    Case(A9[16183], "16B", 256, "v5e:16x16", FULL),
    Case(A9[16183], "16B", 256, "v5p:4x4x4", FULL),
    Case(A9[16183], "16B", 256, "v5p:4x4x4", tensor(FULL, 4)),
    Case(A9[16183], "16B", 256, "v5p:4x4x4", DOTS),
    Case(LARGEST, "70B", 768, "v5e:16x16", tensor(replace(FULL, accumulate=12), 4)),
    Case(LARGEST, "70B", 768, "v5p:4x8x8", FULL),
]
HELD_OUT = [
    Case(A9[44], "44M", 64, "v5e:2x2", NONE),
    Case(A9[175], "175M", 64, "v5e:2x4", DOTS),
    Case(A9[489], "489M", 128, "v5e:4x4", FULL),
    Case(A9[1018], "1.0B", 256, "v5p:2x2x4", DOTS),
    Case(A9[2639], "2.6B", 256, "v5e:8x8", replace(FULL, accumulate=2)),
    Case(A9[4084], "4.1B", 256, "v5p:2x4x4", FULL),
    Case(A9[6796], "6.8B", 256, "v5e:8x16", FULL),
    Case(SEVEN, "6.7B SwiGLU", 256, "v5p:4x4x4", FULL),
    Case(GROUPED, "8B grouped, vocabulary 128k", 512, "v5e:16x16", FULL),
    Case(EXPERTS, "8 experts", 32, "v5e:2x2", FULL),
    Case(LARGEST, "70B", 512, "v5p:4x8x8", tensor(FULL, 4)),
]


def main(words: list[str]) -> None:
    """Compile the chosen cases, print each as it is done, and count those within 15 %."""
    chosen = [(case, "") for case in CASES] + [(case, "+") for case in HELD_OUT]
    chosen = [(case, mark) for case, mark in chosen if all(word in case.title for word in words)]
    # The compiler takes longer for larger shapes, so most rows are there early.
    chosen.sort(key=lambda pair: count_params(pair[0].shape).total)
    print("| | estimated GiB | compiled GiB | |\n|---|---|---|---|", flush=True)
    errors: dict[str, list[float]] = {"": [], "+": []}
    with ThreadPoolExecutor(JOBS) as pool:
        found = pool.map(laid_out_bytes, [case.request for case, _ in chosen])
        for (case, mark), needed in zip(chosen, found, strict=True):
            print(row(case, mark, needed), flush=True)
            if isinstance(needed, int):
                errors[mark].append(case.estimated_bytes / case.on_a_chip(needed) - 1)
    for mark, name in (("", "development"), ("+", "held out")):
        near = sum(abs(error) <= WITHIN for error in errors[mark])
        print(f"{name}: {near} of {len(errors[mark])} within {WITHIN:.0%}")


def row(case: Case, mark: str, needed: int | str) -> str:
    """One line of the table."""
    estimated = case.estimated_bytes
    first = f"| {case.title} {mark}".rstrip() + f" | {estimated / GIB:.3g}"
    if isinstance(needed, str):
        return f"{first} | {needed} | |"
    error = f"{estimated / case.on_a_chip(needed) - 1:+.0%}".replace("-", "−")
    return f"{first} | {case.on_a_chip(needed) / GIB:.3g} | {error} |"


if __name__ == "__main__":
    main([word for argument in sys.argv[1:] for word in argument.split()])
