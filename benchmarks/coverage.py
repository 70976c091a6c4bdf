"""How often the intervals of a fit contain the truth, by design, noise and method of resampling.

    python benchmarks/coverage.py --studies 500
    python benchmarks/coverage.py --vanishing --studies 300 --seed 5000
    python benchmarks/coverage.py --few-rows --studies 500

Every simulated study draws losses from the law of Besiroglu et al. 2024, fits them and resamples
the fit. The program prints, for 90 % intervals, the share of studies whose interval contains the
true value, and the width of the intervals: the mean width for exponents and losses (nats), the
median ratio of the upper to the lower end for the optimum. Optimum and losses are those at 10 times
the largest budget.

With `--vanishing` every study is fitted as a real one is, and studies whose fit has no floor E are
counted apart from the others. With `--few-rows` studies have few rows beside the five constants.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from scaling_jax import laws
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.options import Resampling
from scaling_jax.laws.planning.known import KnownLaw, published_law
from scaling_jax.laws.planning.noise import Noise
from scaling_jax.laws.planning.simulate import Simulation, simulate_study

LAW = published_law("chinchilla-besiroglu")
LEVEL = 0.9


def isoflop(law: KnownLaw, budgets: np.ndarray, n_sizes: int, width: float) -> pd.DataFrame:
    """A design of sizes within a factor `width` of the law's optimum at each budget."""
    rows = []
    for budget in budgets:
        optimum = law.optimal(budget)[0]
        for params in np.geomspace(optimum / width, optimum * width, n_sizes):
            rows.append((params, budget / (6 * params), budget))
    return pd.DataFrame(rows, columns=["params", "tokens", "budget"])


def horizons(params: np.ndarray, tokens_per_param: np.ndarray) -> pd.DataFrame:
    """A design of every model at every horizon."""
    rows = [(n, n * ratio) for n in params for ratio in tokens_per_param]
    return pd.DataFrame(rows, columns=["params", "tokens"])


DESIGNS = {
    "IsoFLOP 4 x 6, within 2.5": isoflop(LAW, np.geomspace(1e18, 1e20, 4), 6, 2.5),
    "IsoFLOP 9 x 10, within 8": isoflop(LAW, np.geomspace(6e18, 3e21, 9), 10, 8.0),
    "6 models x 5 horizons": horizons(np.geomspace(5e7, 2e9, 6), np.geomspace(5, 80, 5)),
}
NOISES = {
    "normal 0.3 %": Noise(0.003),
    "t(3) 0.5 %": Noise(0.005, freedom=3.0),
    "normal + outliers": Noise(0.003, outliers=0.05, outlier_size=0.05),
}


def studies_of(
    cells: pd.DataFrame, noise: Noise, kind: Resampling, n_studies: int, bootstrap: int
) -> Simulation:
    """Simulate one line of the table."""
    return simulate_study(
        cells,
        LAW,
        noise=noise,
        n_studies=n_studies,
        bootstrap=bootstrap,
        level=LEVEL,
        resampling=kind,
    )


KINDS: list[Resampling] = ["residuals", "rows"]
COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "a": ("a", "{:.3f}".format),
    "N_opt": ("params", lambda log_ratio: f"x{np.exp(log_ratio):.2f}"),
    "loss of the law": ("loss", "{:.4f}".format),
    "measured loss": ("measured", "{:.4f}".format),
}


# A law whose floor few sizes and horizons do not show.
FAINT = KnownLaw(CHINCHILLA, dict(E=1.6, A=12.0, B=100.0, alpha=0.13, beta=0.24), "made up")
FAINT_CELLS = horizons(np.array([1e7, 3.16e7, 1e8]), np.geomspace(4, 120, 5))
FAINT_NOISE = 0.004


def vanishing(n_studies: int, bootstrap: int, seed: int) -> None:
    """Print the coverage of `a` and E where a fit has no floor, and where it has one."""
    loss_N = FAINT.loss(FAINT_CELLS["params"].to_numpy(), FAINT_CELLS["tokens"].to_numpy())
    rows = []
    for number in range(seed, seed + n_studies):
        noise_N = FAINT_NOISE * np.random.default_rng(number).normal(size=len(loss_N))
        table = FAINT_CELLS.assign(loss=loss_N * np.exp(noise_N))
        fit = laws.fit(table, bootstrap=bootstrap, level=LEVEL, seed=number)
        (low, high), (least, most) = fit.exponent_intervals["a"], fit.intervals["E"]
        holds_a, holds_e = low <= FAINT.exponents["a"] <= high, least <= 1.6 <= most
        rows.append((fit.params["E"] == 0, holds_a, high - low, holds_e, least == 0))
    found = pd.DataFrame(rows, columns=["no_floor", "a", "width", "E", "from_zero"])
    print(
        "| fit | studies | a | mean width | E | interval of E from 0 |\n|---|---|---|---|---|---|"
    )
    for no_floor, name in ((True, "E = 0"), (False, "E > 0")):
        part = found[found["no_floor"] == no_floor]
        shares = [f"{100 * part[c].mean():.0f} %" for c in ("a", "E", "from_zero")]
        a, e, from_zero = shares
        print(f"| {name} | {len(part)} | {a} | {part['width'].mean():.3f} | {e} | {from_zero} |")


def few_rows(n_studies: int, bootstrap: int) -> None:
    """Print the coverage of studies with few rows: corners of a grid first, then its inside."""
    grid = horizons(np.geomspace(5e7, 2e9, 4), np.geomspace(5, 80, 4))
    order = [0, 3, 12, 15, 5, 10, 6, 9, 1, 2, 13, 14, 4, 7, 8, 11]
    print(f"| rows | {' | '.join(COLUMNS)} |\n|{'---|' * (1 + len(COLUMNS))}")
    for n_rows in (7, 9, 10, 12, 14, 16):
        cells = grid.iloc[order[:n_rows]].reset_index(drop=True)
        done = studies_of(cells, NOISES["normal 0.3 %"], "residuals", n_studies, bootstrap)
        coverage = done.summary()["coverage"]
        shares = [f"{100 * coverage[name]:.0f} %" for name, _ in COLUMNS.values()]
        print(f"| {n_rows} | {' | '.join(shares)} |", flush=True)


def line(design: str, noise: str, kind: Resampling, simulation: Simulation, seconds: float) -> str:
    """One row of the table: coverage and width of every quantity."""
    summary = simulation.summary()
    cells = [
        f"{100 * summary.loc[name, 'coverage']:.0f} % ({width(summary.loc[name, 'width'])})"
        for name, width in COLUMNS.values()
    ]
    return f"| {' | '.join((design, noise, kind, *cells, f'{seconds:.0f}'))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--bootstrap", type=int, default=200)
    parser.add_argument("--vanishing", action="store_true")
    parser.add_argument("--few-rows", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--noises", nargs="+", default=list(NOISES), choices=NOISES)
    options = parser.parse_args()
    print(f"{options.studies} studies per row, {options.bootstrap} resamples per study\n")
    if options.vanishing:
        vanishing(options.studies, options.bootstrap, options.seed)
        return
    if options.few_rows:
        few_rows(options.studies, options.bootstrap)
        return
    header = ("design", "noise", "resampling", *COLUMNS, "seconds")
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for noise_name in options.noises:
        for design, cells in DESIGNS.items():
            for kind in options.kinds:
                start = time.perf_counter()
                done = studies_of(
                    cells, NOISES[noise_name], kind, options.studies, options.bootstrap
                )
                seconds = time.perf_counter() - start
                print(line(design, noise_name, kind, done, seconds), flush=True)


if __name__ == "__main__":
    main()
