"""Tables 3 and A3 of Hoffmann et al. 2022 (arXiv 2203.15556): their exponents and contradictions.

    python experiments/reproductions/hoffmann_tables.py

The program also fits approaches 2 and 3 to points that were read off the paper's figures. Approach
1 needs the training curves, which were not published.
"""

from pathlib import Path

import numpy as np

from scaling_jax import laws
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.catalogue.hoffmann_tables import HoffmannTable
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.planning.known import PUBLISHED as LAWS
from scaling_jax.laws.planning.known import KnownLaw

DATA = Path(__file__).parents[2] / "tests" / "laws" / "data"
GOPHER = 5.76e23

PUBLISHED_EXPONENTS = {1: 0.50, 2: 0.49, 3: 0.46}  # table 2

ROUNDED = KnownLaw(
    CHINCHILLA, CHINCHILLA.published["hoffmann-2022-printed"], "equation 10, as printed"
)
LAWS_OF_APPROACH_3 = {"TeX source": LAWS["chinchilla-hoffmann"], "as printed": ROUNDED}


class Column(HoffmannTable):
    """The columns of one approach: FLOPs and tokens at every N."""

    def relation(self) -> np.ndarray:
        """Printed FLOPs over 6 N D of the printed N and D; 1 where a row is consistent."""
        return self.flops / (FLOPS_PER_PARAM_TOKEN * self.params * self.tokens)

    def exponent(self) -> float:
        """Exponent a of N in FLOPs, without rows that contradict 6 N D by half or more."""
        good = np.abs(self.relation() - 1) < 0.5
        return float(np.polyfit(np.log(self.flops[good]), np.log(self.params[good]), 1)[0])


def flops_of_optimum(law: KnownLaw, params: np.ndarray) -> np.ndarray:
    """The budget at which the compute-optimal model has `params` parameters."""
    at_one, exponent = law.optimal(1.0)[0], law.exponents["a"]
    return (params / at_one) ** (1 / exponent)


def digitised() -> dict[str, laws.Fit]:
    """Fits of approaches 2 and 3 to the points that were read off the paper's figures."""
    isoflop, scatter = DATA / "chinchilla_isoflop_124.csv", DATA / "chinchilla_240.csv"
    return {
        "approach 2, 124 IsoFLOP points": laws.fit(isoflop, approach=2, bootstrap=0),
        "approach 3, 124 IsoFLOP points": laws.fit(isoflop, approach=3, bootstrap=0),
        "approach 3, 240 points": laws.fit(scatter, approach=3, bootstrap=0),
    }


def _print_columns() -> None:
    print("Exponent a of N_opt in C, and printed FLOPs over 6 N D row by row")
    for approach, published in PUBLISHED_EXPONENTS.items():
        column = Column(approach)
        ratios = " ".join(f"{ratio:.2f}" for ratio in column.relation())
        print(f"approach {approach}: from the rows {column.exponent():.3f}, ", end="")
        print(f"table 2 {published:.2f}; {ratios}")
    print("The 0.10 is 175B under approach 3: 1.26e24 FLOPs must read 1.26e25.\n")


def _print_approach_3() -> None:
    column = Column(3)
    print("FLOPs of the optimum under the printed fit of approach 3, over table A3's")
    for name, law in LAWS_OF_APPROACH_3.items():
        ratios = flops_of_optimum(law, column.params) / column.flops
        print(f"{name:<12}{' '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print("Neither gives the table: the authors did not make it from the printed fit.\n")


def main() -> None:
    """Print the tables' exponents and contradictions, and fits of the published points."""
    _print_columns()
    _print_approach_3()
    print(f"N_opt at the budget of Gopher, {GOPHER:.2e} FLOPs (published: 67B, 63B, 40B)")
    for name, law in (*LAWS_OF_APPROACH_3.items(), ("refit", LAWS["chinchilla-besiroglu"])):
        print(f"approach 3, {name}: {law.optimal(GOPHER)[0] / 1e9:.1f}B")
    for name, fit in digitised().items():
        best = fit.optimal(GOPHER)
        print(f"{name}: {best.params / 1e9:.1f}B, a {fit.exponents['a']:.3f}")
    print(
        "\nThe text under table 3 gives 175B 4.41e24 FLOPs and 4.2T tokens, and 280B 6.8T tokens;"
    )
    print("table 3 itself has 3.85e24 and 3.7T, and 5.9T.")


if __name__ == "__main__":
    main()
