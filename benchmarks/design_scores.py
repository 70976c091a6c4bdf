"""How the interval that `plan` expects of a design compares with the errors of real tables.

    python benchmarks/design_scores.py TABLE... [--cuts 4 10]

Every table is cut as `benchmarks/extrapolation.py` cuts it. The rows below a cut are a design whose
law is the chinchilla law that is fitted to them, with the noise of that fit, and the largest runs
are its targets. The program prints, for every table and cut: the median absolute error of the
fit's loss and the expected half-width by noise alone and with the form, in percent, and the shares
of measured losses inside both. A run's own noise is added to the half-widths.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd
from extrapolation import cut_table

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import LEVEL
from scaling_jax.laws.planning.answers import Target, two_sided
from scaling_jax.laws.planning.design_checks import answer_doubts
from scaling_jax.laws.planning.design_score import Cells, Doubt
from scaling_jax.laws.planning.known import law_of


def compared(below: pd.DataFrame, largest: pd.DataFrame) -> dict[str, float]:
    fit = laws.fit(below, law="chinchilla", bootstrap=0)
    law, noise = law_of(fit), float(fit.objective["noise"])
    values = Cells.of(below["params"], below["tokens"]).values
    runs = zip(largest["params"], largest["tokens"], strict=True)
    targets = [Target(6 * n * d, n, d) for n, d in runs]
    doubts: list[Doubt] = [
        answer_doubts(law, values, target, noise, LEVEL)["loss"] for target in targets
    ]
    error_N = np.abs(np.log(largest["loss"] / law.loss(largest["params"], largest["tokens"])))
    run = two_sided(LEVEL) * noise
    noise_N = np.array([math.hypot(doubt.noise, run) for doubt in doubts])
    total_N = np.array([math.hypot(doubt.total, run) for doubt in doubts])
    return {
        "error": 100 * float(np.median(error_N)),
        "noise": 100 * float(np.median(noise_N)),
        "total": 100 * float(np.median(total_N)),
        "inside noise": float(np.mean(error_N <= noise_N)),
        "inside total": float(np.mean(error_N <= total_N)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--cuts", nargs="+", type=float, default=(4.0, 10.0))
    args = parser.parse_args()
    rows = []
    for path in args.tables:
        for cut, below, largest, _ in cut_table(path, tuple(args.cuts)):
            try:
                found = compared(below, largest)
            except InputError as error:
                print(f"{path.stem} at 1/{cut:g} is left out: {error}")
                continue
            rows.append({"table": path.stem, "cut": cut, "runs": len(below), **found})
    table = pd.DataFrame(rows)
    print(table.round(2).to_string(index=False))
    ways = dict.fromkeys(("error", "noise", "total"), "median")
    ways |= dict.fromkeys(("inside noise", "inside total"), "mean")
    print("\nMedians of errors and half-widths over tables, means of shares:")
    print(table.groupby("cut").agg(ways).round(2).to_string())


if __name__ == "__main__":
    main()
