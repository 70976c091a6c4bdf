"""The estimate of `plan` beside the memory of the compiled step, over a grid of runs and chips.

    pip install -e '.[tpu]'
    python benchmarks/memory.py                     # 121 cases, some seconds each
    python benchmarks/memory.py "1.6B v5p"          # cases whose names contain both words

The compiler's figures are what it lays out for a step, everything on a chip but the program's code
included. They are stored in the cache directory, so an interrupted or repeated call compiles only
what is missing. What the estimate counts was decided on the cases without a mark; those with
`+`, `++` and `+++` were kept aside, each lot until a miss in the one before had been mended.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from laid_out import laid_out_bytes
from memory_case import Case
from memory_cases import CASES
from memory_held_out import FIRST, SECOND, THIRD

from scaling_jax.accounting.flops import count_params
from scaling_jax.accounting.hardware import GIB

JOBS = 2
WITHIN = 0.15
# The cases by their mark.
MARKED = {"": CASES, "+": FIRST, "++": SECOND, "+++": THIRD}


def main(words: list[str]) -> None:
    """Compile the chosen cases, print each as it is done, and count those within 15 %."""
    chosen = [(case, mark) for mark, cases in MARKED.items() for case in cases]
    chosen = [(case, mark) for case, mark in chosen if all(word in case.title for word in words)]
    # The compiler takes longer for larger shapes, so most rows are there early.
    chosen.sort(key=lambda pair: count_params(pair[0].shape).total)
    print("| | estimated GiB | compiled GiB | |\n|---|---|---|---|", flush=True)
    errors: dict[str, list[float]] = {mark: [] for mark in MARKED}
    with ThreadPoolExecutor(JOBS) as pool:
        found = pool.map(laid_out_bytes, [case.request for case, _ in chosen])
        for (case, mark), needed in zip(chosen, found, strict=True):
            print(row(case, mark, needed), flush=True)
            if isinstance(needed, int):
                errors[mark].append(case.estimated_bytes / case.on_a_chip(needed) - 1)
    for mark, found_errors in errors.items():
        near = sum(abs(error) <= WITHIN for error in found_errors)
        print(f"cases {mark}: {near} of {len(found_errors)} within {WITHIN:.0%}")


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
