"""FLOPs that adaptive studies and fixed grids spend for the same interval, in simulation.

    python benchmarks/adaptive.py [--studies 200] [--noises normal,outliers]

Losses follow the law of Besiroglu et al. 2024 with noise. The fixed grid is 7 sizes within a
factor of 4 about the optimum at each of 5 budgets. The adaptive study chooses from 11 sizes
within a factor of 8 at the same budgets, each with two seeds, and stops when its interval
is as narrow as the median of the fixed grid's.
"""

import argparse
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from scaling_jax import laws
from scaling_jax.laws.planning.known import KnownLaw, published_law
from scaling_jax.laws.planning.next_runs import (
    FIRST_CELLS,
    Goal,
    Quantity,
    in_one_round,
    next_cells,
)
from scaling_jax.laws.planning.noise import Noise
from scaling_jax.laws.planning.simulate import simulate_losses
from scaling_jax.study import around

LAW = published_law("chinchilla-besiroglu")
BUDGETS = tuple(6e18 * (10 / 3) ** i for i in range(5))
TARGET = 10 * BUDGETS[-1]
BOOTSTRAP, LEVEL, AT_ONCE = 200, 0.9, 4
NOISES = {
    "normal": Noise(0.003),
    "heavy tails": Noise(0.003, freedom=3),
    "outliers": Noise(0.003, outliers=0.05, outlier_size=0.03),
}


def grid(width: float, n: int) -> pd.DataFrame:
    """A design of `n` sizes at every budget, within a factor `width` of the true optimum."""
    params, _, _ = LAW.optimal(BUDGETS[0])
    sizes = around(
        BUDGETS, params=params, at=BUDGETS[0], exponent=LAW.exponents["a"], width=width, n=n
    )
    rows = [
        {"budget": budget, "params": size, "tokens": budget / 6 / size, "flops": budget}
        for budget, row in zip(BUDGETS, sizes, strict=True)
        for size in row
    ]
    return pd.DataFrame(rows)


def measured(cells: pd.DataFrame, noise: Noise, seed: int) -> pd.DataFrame:
    return simulate_losses(cells, LAW, noise, seed)


def adaptive(pool: pd.DataFrame, goal: Goal) -> tuple[laws.Fit, float]:
    """The last fit of a study that chooses its runs from `pool`, and the FLOPs that it spent."""
    chosen = list(pool["flops"].sort_values(kind="stable").index[:FIRST_CELLS])
    while True:
        done = pool.loc[chosen]
        fit = laws.fit(done, bootstrap=BOOTSTRAP, level=LEVEL)
        left = pool.drop(chosen)
        advice = next_cells(goal, fit, done, left)
        if advice.reached or left.empty:
            return fit, float(done["flops"].sum())
        wanted = left.iloc[list(advice.chosen)]
        n = in_one_round(wanted["flops"].to_list(), float(done["flops"].sum()), AT_ONCE)
        chosen = [*chosen, *wanted.index[:n]]


def truth_of(law: KnownLaw, quantity: Quantity) -> float:
    params, tokens, loss = law.optimal(TARGET)
    return {"params": params, "tokens": tokens, "loss": loss}[quantity]


def holds(fit: laws.Fit, quantity: Quantity) -> bool:
    bounds = getattr(fit.optimal(TARGET), f"{quantity}_interval")
    return bool(bounds[0] <= truth_of(LAW, quantity) <= bounds[1])


def off(fit: laws.Fit, quantity: Quantity) -> float:
    value, truth = getattr(fit.optimal(TARGET), quantity), truth_of(LAW, quantity)
    return abs(value - truth) if quantity == "loss" else abs(math.log(value / truth))


def rows(quantity: Quantity, noise: Noise, studies: int) -> Iterator[tuple[str, ...]]:
    fixed_cells, pool_cells = grid(4, 7), pd.concat([grid(8, 11)] * 2, ignore_index=True)
    wide = Goal(quantity, TARGET, math.e, LEVEL)
    fixed = [
        laws.fit(measured(fixed_cells, noise, seed), bootstrap=BOOTSTRAP, level=LEVEL)
        for seed in range(studies)
    ]
    widths = np.array([wide.width_of(fit) for fit in fixed])
    goal = Goal(quantity, TARGET, float(np.median(widths)), LEVEL)
    found = [adaptive(measured(pool_cells, noise, 10**6 + seed), goal) for seed in range(studies)]
    cost = float(fixed_cells["flops"].sum())
    spent = np.array([flops for _, flops in found]) / cost
    reached = np.array([wide.width_of(fit) for fit, _ in found])
    errors = [
        np.quantile([off(fit, quantity) for fit in fits], LEVEL)
        for fits in (fixed, [fit for fit, _ in found])
    ]
    held = [
        np.mean([holds(fit, quantity) for fit in fits])
        for fits in (fixed, [fit for fit, _ in found])
    ]
    yield (
        f"{goal.width:.4f}",
        f"{np.median(reached):.4f}",
        f"{errors[0]:.4f}",
        f"{errors[1]:.4f}",
        f"{held[0]:.0%}",
        f"{held[1]:.0%}",
        f"{np.median(spent):.2f}",
        f"{np.mean(spent):.2f}",
        f"{np.quantile(spent, 0.9):.2f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--noises", default=",".join(NOISES))
    options = parser.parse_args()
    studies = options.studies
    print(
        f"{studies} studies each; first {FIRST_CELLS} cells, then up to {AT_ONCE} at a time; "
        f"{LEVEL:.0%} intervals at {TARGET:.1e} FLOPs"
    )
    names = ("width", "reached", "error", "error", "holds", "holds", "median", "mean", "90 %")
    print(f"{'':<22}" + "".join(f"{name:>9}" for name in names))
    for noise_name in options.noises.split(","):
        for quantity in ("params", "loss"):
            for row in rows(quantity, NOISES[noise_name], studies):
                cells = "".join(f"{cell:>9}" for cell in row)
                print(f"{noise_name + ', ' + quantity:<22}{cells}", flush=True)


if __name__ == "__main__":
    main()
