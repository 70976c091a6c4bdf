"""A table of large training steps, compiled for TPU slices and a GPU node that are not here.

    pip install -e '.[tpu]'
    python benchmarks/compile.py                    # every row, one after another
    python benchmarks/compile.py "16B v5p"          # rows whose titles contain both words

Each row holds the figures that `scaling-jax compile` prints for that shape, slice and options, and
takes minutes. They are stored in the cache directory, so an interrupted or repeated call compiles
only what is missing. The row of the GPU needs '.[cuda]' instead.
"""

import sys
from dataclasses import replace

from memory import A9, FULL, LARGEST, Case, tensor

from scaling_jax.accounting.hardware import GIB
from scaling_jax.aot import Report
from scaling_jax.aot.many import compile_many

CASES = [
    Case(A9[1593], "1.6B", 256, "v5e:4x4", replace(FULL, accumulate=4)),
    Case(A9[1593], "1.6B", 256, "v5e:8x8", FULL),
    Case(A9[1593], "1.6B", 256, "v5p:2x2x4", FULL),
    Case(A9[1593], "1.6B", 256, "h100:8", replace(FULL, accumulate=4)),
    Case(A9[16183], "16B", 256, "v5e:16x16", FULL),
    Case(A9[16183], "16B", 256, "v5p:4x4x4", FULL),
    Case(A9[16183], "16B", 256, "v5p:4x4x4", tensor(FULL, 4)),
    Case(LARGEST, "70B", 768, "v5e:16x16", tensor(replace(FULL, accumulate=12), 4)),
    Case(LARGEST, "70B", 768, "v5p:4x8x8", FULL),
]
HEADER = (
    "| shape and chips | mesh, microbatches | GiB of | FLOPs exact, program | "
    "sent GB, overlapped | compute, memory, links: s | MFU at most | compiled |"
)


def main(words: list[str]) -> None:
    """Compile the chosen rows and print each as it is done."""
    chosen = [case for case in CASES if all(word in case.title for word in words)]
    print(HEADER + "\n|---|---|---|---|---|---|---|---|", flush=True)
    for outcome in compile_many([case.request for case in chosen], jobs=1):
        case, found = chosen[outcome.request], outcome.found
        if isinstance(found, Report):
            print(row(case, found), flush=True)
        else:
            print(f"| {case.title} | {found} |", flush=True)


def row(case: Case, report: Report) -> str:
    """One line of the table."""
    memory, counts, bounds = report.memory, report.flops, report.bounds
    mesh = ",".join(f"{axis}={n}" for axis, n in report.mesh.items() if n > 1)
    cells = [
        f"{case.name} {case.topology}",
        f"{mesh}; {report.execution['accumulate']}",
        f"{memory.needed / GIB:.3g} of {memory.available / GIB:.4g}"
        + ("" if memory.fits else " NO"),
        f"{counts.exact:.3g}, {counts.program:.3g}",
    ]
    if bounds is not None:
        sent = sum(one.sent_bytes for one in report.collectives)
        cells += [
            f"{sent / 1e9:.3g}, {report.overlapped:.0%}",
            f"{bounds.compute:.3g}, {bounds.memory:.3g}, {bounds.interconnect:.3g}",
            f"{report.largest_mfu:.0%}",
        ]
    else:
        cells += ["", "", ""]
    return "| " + " | ".join([*cells, f"{report.compile_seconds:.0f} s"]) + " |"


if __name__ == "__main__":
    main([word for argument in sys.argv[1:] for word in argument.split()])
