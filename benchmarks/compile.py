"""A table of large training steps, compiled for TPU slices and a GPU node that are not here.

    pip install -e '.[tpu]'
    python benchmarks/compile.py                    # every row, one after another: hours
    python benchmarks/compile.py "16B v5p"          # rows whose names contain both words

Each row holds the figures that `scaling-jax compile` prints for that shape, slice and options;
`estimate` is the memory that `plan` estimates. The rows of the GPU need '.[cuda]' instead.
"""

import sys
from dataclasses import dataclass, replace

from memory import A9, FULL, LARGEST, run_of, tensor

from scaling_jax.accounting.hardware import GIB
from scaling_jax.aot import CompilerFailed, Report, Topology, compile_run
from scaling_jax.config import RunConfig, Shape
from scaling_jax.errors import InputError
from scaling_jax.execution import Execution
from scaling_jax.execution_choice import Chips, estimated_memory


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    shape: Shape
    batch_size: int
    topology: str
    execution: Execution

    @property
    def config(self) -> RunConfig:
        """The run that is compiled."""
        return run_of(self.shape, self.batch_size)


CASES = [
    Case("1.6B v5e:4x4", A9[1593], 256, "v5e:4x4", replace(FULL, accumulate=4)),
    Case("1.6B v5e:8x8", A9[1593], 256, "v5e:8x8", FULL),
    Case("1.6B v5p:2x2x4", A9[1593], 256, "v5p:2x2x4", FULL),
    Case("16B v5e:16x16", A9[16183], 256, "v5e:16x16", FULL),
    Case("16B v5p:4x4x4", A9[16183], 256, "v5p:4x4x4", FULL),
    Case("16B v5p:4x4x4 tensor", A9[16183], 256, "v5p:4x4x4", tensor(FULL, 4)),
    Case(
        "70B v5e:16x16 tensor",
        LARGEST,
        768,
        "v5e:16x16",
        tensor(replace(FULL, accumulate=12), 4),
    ),
    Case("70B v5p:4x8x8", LARGEST, 768, "v5p:4x8x8", FULL),
    Case("1.6B h100:8", A9[1593], 256, "h100:8", replace(FULL, accumulate=4)),
]
HEADER = (
    "| shape and chips | mesh, options | GiB of | estimate | FLOPs exact, program | "
    "sent GB | compute, memory, links: s | MFU at most | compiled |"
)


def main(words: list[str]) -> None:
    """Compile the chosen rows and print each as it is done."""
    chosen = [case for case in CASES if all(word in case.name for word in words)]
    print(HEADER + "\n|---|---|---|---|---|---|---|---|---|", flush=True)
    for case in chosen:
        topology = Topology.parse(case.topology)
        try:
            report = compile_run(case.config, case.execution, topology)
        except (InputError, CompilerFailed) as error:
            print(f"| {case.name} | {error} |", flush=True)
            continue
        print(row(case, report), flush=True)


def row(case: Case, report: Report) -> str:
    """One line of the table."""
    topology = Topology.parse(case.topology)
    estimate = estimated_memory(case.config, case.execution, Chips(topology.chip, topology.n_chips))
    memory, counts, bounds = report.memory, report.flops, report.bounds
    mesh = ",".join(f"{axis}={n}" for axis, n in report.mesh.items() if n > 1)
    options = " ".join(f"{k} {report.execution[k]}" for k in ("remat", "accumulate"))
    cells = [
        case.name,
        f"{mesh}; {options}",
        f"{memory.needed / GIB:.3g} of {memory.available / GIB:.4g}"
        + ("" if memory.fits else " NO"),
        f"{estimate.times(topology.chip.jax_devices).total / GIB:.3g}",
        f"{counts.exact:.3g}, {counts.program:.3g}",
    ]
    if bounds is not None:
        sent = sum(one.sent_bytes for one in report.collectives)
        cells += [
            f"{sent / 1e9:.3g}",
            f"{bounds.compute:.3g}, {bounds.memory:.3g}, {bounds.interconnect:.3g}",
            f"{report.largest_mfu:.0%}",
        ]
    else:
        cells += ["", "", ""]
    return "| " + " | ".join([*cells, f"{report.compile_seconds:.0f} s"]) + " |"


if __name__ == "__main__":
    main([word for argument in sys.argv[1:] for word in argument.split()])
