"""IsoFLOP parabolas miss the optimum even without noise (Czech et al. 2026, arXiv 2603.22339).

    python experiments/reproductions/parabola_bias.py

At fixed compute, L = E + A / N^alpha + B / D^beta is a parabola in log N only if alpha = beta.
Otherwise the vertex of a fitted parabola is off by a factor that depends on the exponents and on
the range of sizes, but not on the budget. So the exponent of the frontier is right and its level is
wrong.
"""

import math

import numpy as np
import pandas as pd

from scaling_jax import laws
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.conventions import FLOPS_PER_PARAM_TOKEN
from scaling_jax.laws.planning.known import KnownLaw

SIZES = 15
BUDGETS = tuple(np.geomspace(1e17, 1e21, 5).tolist())
TARGET = 1e24
WIDTHS = (2.0, 4.0, 8.0, 16.0)

SOURCE = "Czech et al. 2026 (arXiv 2603.22339)"
PRINTED = CHINCHILLA.published["hoffmann-2022-printed"]
SURFACES = {
    "Hoffmann et al. 2022": KnownLaw(CHINCHILLA, PRINTED, "rounded constants"),
    "asymmetric": KnownLaw(CHINCHILLA, {**PRINTED, "alpha": 0.465, "beta": 0.155}, SOURCE),
}
PUBLISHED = {
    "Hoffmann et al. 2022": (-0.33, -1.30, -2.90, -5.10),
    "asymmetric": (-1.67, -6.50, -13.91, -23.12),
}


def noise_free(law: KnownLaw, width: float) -> pd.DataFrame:
    """A table of noise-free losses: sizes within a factor `width` of the optimum at each budget."""
    rows = []
    for budget in BUDGETS:
        optimum = law.optimal(budget)[0]
        for params in np.geomspace(optimum / width, optimum * width, SIZES):
            tokens = budget / (FLOPS_PER_PARAM_TOKEN * params)
            rows.append((params, tokens, float(law.loss(params, tokens)), budget))
    return pd.DataFrame(rows, columns=["params", "tokens", "loss", "budget"])


def tokens_error(law: KnownLaw, width: float) -> float:
    """Error of D_opt at 1e24 FLOPs by approach 2, in percent."""
    fitted = laws.fit(noise_free(law, width), approach=2, bootstrap=0)
    return 100 * (fitted.optimal(TARGET).tokens / law.optimal(TARGET)[1] - 1)


def leading_order(law: KnownLaw, width: float) -> float:
    """The error of D_opt that the cubic term of the IsoFLOP curve alone causes, in percent."""
    difference = law.constants["alpha"] - law.constants["beta"]
    reach = math.log(width) ** 2 * (3 * SIZES**2 - 7) / (30 * (SIZES - 1) ** 2)
    return 100 * (math.exp(-difference * reach) - 1)


def main() -> None:
    """Print the errors beside the published errors."""
    print(f"Error of D_opt at {TARGET:.0e} FLOPs, {SIZES} sizes a budget. Published: {SOURCE}\n")
    print(f"{'surface':<22}{'sizes within':>12}{'ours':>10}{'published':>11}{'cubic term':>12}")
    for name, law in SURFACES.items():
        for width, published in zip(WIDTHS, PUBLISHED[name], strict=True):
            ours, cubic = tokens_error(law, width), leading_order(law, width)
            print(f"{name:<22}{width:>11.0f}x{ours:>9.2f}%{published:>10.2f}%{cubic:>11.2f}%")


if __name__ == "__main__":
    main()
