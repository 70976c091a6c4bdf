"""How well fits predict the largest runs of a table from its smaller ones.

    python benchmarks/extrapolation.py TABLE... [--methods auto chinchilla] [--cuts 4 10 30]

Every table is cut at fractions of its largest compute (the 98th percentile), fitted below by every
method, and asked for its largest runs, those within a factor of 1.6 of the top. The program prints,
for every table and over all tables (tables count alike): the median absolute and the mean signed
error of the loss in percent, the share of measured losses inside the 90 % interval, the interval's
median width in percent, and the interval score (width plus 20 times what is missed; Gneiting and
Raftery 2007), then the error of N_opt against the minimum of the largest budget's own curve, as a
factor, whether the interval of N_opt holds that minimum, and how much loss following the predicted
N_opt would have lost there.

With `--simulated 25`, 25 studies of Besiroglu et al.'s law are simulated for each design of
`benchmarks/coverage.py` and asked for the optimum of ten times their largest budget.

A method is the name of a law, with the options of a fit behind it: `chinchilla,within=0.05`,
`skaling,weight_by_compute=0.5`, `auto,bootstrap=100`.
"""

import argparse
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from coverage import DESIGNS, LAW, NOISES

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.conventions import BEYOND
from scaling_jax.laws.extrapolation.budget_minima import BudgetMinimum, budget_minima
from scaling_jax.laws.extrapolation.cutoffs import sizes_of
from scaling_jax.laws.tables.select import fitted_rows, usable_rows

METHODS = ("auto", "chinchilla", "skaling")
CUTS = (4.0, 10.0, 30.0)
TOP_QUANTILE, NEAR_TOP = 0.98, 1.6
LEVEL = 0.9


@dataclass(frozen=True)
class Score:
    """What one method predicted of one table cut once; percentages of the loss."""

    table: str
    cut: float
    method: str
    runs: int
    median: float = math.nan
    bias: float = math.nan
    inside: float = math.nan
    width: float = math.nan
    score: float = math.nan
    n_opt: float = math.nan
    n_inside: float = math.nan
    lost: float = math.nan
    refused: str = ""


def cut_table(
    path: Path, cuts: tuple[float, ...]
) -> Iterator[tuple[float, pd.DataFrame, Any, Any]]:
    """The rows below each cut, the largest runs, and the minimum of the largest budget's curve."""
    frame = fitted_rows(laws.read_table(path)).reset_index(drop=True)
    rows = usable_rows(frame)
    size_N = sizes_of(rows)
    top = float(np.quantile(size_N, TOP_QUANTILE))
    minima = [m for m in budget_minima(rows) if m.budget >= top / NEAR_TOP]
    for cut in cuts:
        below_N = size_N <= top / cut * (1 + 1e-9)
        yield cut, frame[below_N], frame[size_N >= top / NEAR_TOP], minima[-1] if minima else None


def predict(
    below: pd.DataFrame, largest: pd.DataFrame, minimum: BudgetMinimum | None, method: str
) -> Mapping[str, float]:
    law, *options = method.split(",")
    pairs = (option.split("=") for option in options)
    given = {n: int(value) if n == "bootstrap" else float(value) for n, value in pairs}
    fit = laws.fit(below, law=law, level=LEVEL, **given)  # type: ignore[arg-type]
    predicted = [
        fit.predict(params=float(n), tokens=float(d))
        for n, d in zip(largest["params"], largest["tokens"], strict=True)
    ]
    measured_N = largest["loss"].to_numpy()
    value_N = np.array([p.value for p in predicted])
    low_N, high_N = np.array([p.interval or (np.nan, np.nan) for p in predicted]).T
    error_N = 100 * np.log(measured_N / value_N)
    width_N = 100 * (high_N - low_N) / value_N
    missed_N = 100 * np.maximum(0, np.maximum(low_N - measured_N, measured_N - high_N)) / value_N
    found = dict(
        median=float(np.median(np.abs(error_N))),
        bias=float(error_N.mean()),
        inside=float(np.mean((low_N <= measured_N) & (measured_N <= high_N))),
        width=float(np.median(width_N)),
        score=float(np.mean(width_N + 2 / (1 - LEVEL) * missed_N)),
    )
    if minimum is not None and fit.exponents:
        best = fit.optimal(minimum.budget)
        off = math.log(best.params / minimum.params)
        low, high = best.params_interval or (math.nan, math.nan)
        found |= dict(
            n_opt=math.exp(abs(off)),
            n_inside=float(low <= minimum.params <= high),
            lost=100 * math.expm1(minimum.curvature * off**2),
        )
    return found


def score(path: Path, methods: tuple[str, ...], cuts: tuple[float, ...]) -> Iterator[Score]:
    for cut, below, largest, minimum in cut_table(path, cuts):
        for method in methods:
            named = dict(table=path.stem, cut=cut, method=method, runs=len(below))
            try:
                found = predict(below, largest, minimum, method)
            except InputError as error:
                yield Score(**named, refused=str(error))  # type: ignore[arg-type]
                continue
            yield Score(**named, **found)  # type: ignore[arg-type]


def simulated(n_studies: int, methods: tuple[str, ...]) -> Iterator[Score]:
    """Studies of a known law, asked for the optimum of ten times their largest budget."""
    noise = NOISES["normal 0.3 %"].scale
    for design, cells in DESIGNS.items():
        at = dict(
            zip(("params", "tokens"), LAW.optimal(BEYOND * flops_of(cells).max())[:2], strict=True)
        )
        largest = pd.DataFrame([at])
        for study in range(n_studies):
            rng = np.random.default_rng([7, study])
            below, measured = (
                frame.assign(
                    loss=LAW.loss(frame.params, frame.tokens)
                    * np.exp(rng.normal(0, noise, len(frame)))
                )
                for frame in (cells, largest)
            )
            for method in methods:
                yield Score(
                    design, BEYOND, method, len(below), **predict(below, measured, None, method)
                )


def flops_of(cells: pd.DataFrame) -> np.ndarray:
    return 6 * (cells["params"] * cells["tokens"]).to_numpy()


def total(scores: pd.DataFrame, by: tuple[str, ...] = ()) -> pd.DataFrame:
    """Medians of errors and widths over tables, means of shares and scores."""
    ways = dict(
        median="median", bias="mean", inside="mean", width="median", score="mean",
        n_opt="median", n_inside="mean", lost="median",
    )  # fmt: skip
    grouped = scores[scores["refused"] == ""].groupby([*by, "method", "cut"], sort=False)
    return grouped.agg(tables=("table", "nunique"), **{k: (k, how) for k, how in ways.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", type=Path)
    parser.add_argument("--simulated", type=int, metavar="STUDIES", help="simulate so many instead")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--cuts", nargs="+", type=float, default=CUTS)
    parser.add_argument("--out", type=Path, help="write every score here, as CSV")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.simulated:
        scores = simulated(options.simulated, tuple(options.methods))
        frame = pd.DataFrame([asdict(each) for each in scores])
        print(total(frame, by=("table",)).round(2).to_string())
        return
    found = []
    for path in options.tables:
        try:
            for each in score(path, tuple(options.methods), tuple(options.cuts)):
                found.append(each)
                shown = {k: v for k, v in asdict(each).items() if k not in ("table", "refused")}
                text = each.refused or "  ".join(
                    f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in shown.items()
                )
                print(f"{each.table[:24]:24} {text}", flush=True)
        except InputError as error:
            print(f"{path}: left out: {error}", flush=True)
    frame = pd.DataFrame([asdict(each) for each in found])
    if options.out:
        frame.to_csv(options.out, index=False)
    print("\nover all tables:\n" + total(frame).round(2).to_string())


if __name__ == "__main__":
    main()
