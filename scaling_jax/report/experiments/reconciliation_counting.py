"""What the count of the parameters alone does to the exponent of the optimal size.

Pearce and Song 2024 (2406.12907): take a law L(N, D) in which N counts all parameters, minimize
it at fixed FLOPs 6 N_e D, where N_e leaves out the parameters of the vocabulary, and fit a power
law in these FLOPs to the optimal N_e. They write
N = N_e + ω N_e^(1/3), for models whose depth grows with their width. Here N is that of the trained
shapes, interpolated in N_e.
"""

from typing import TYPE_CHECKING

import numpy as np

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.reconciliation_losses import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

_SIZES = 4001
_BUDGETS = 200
_PUBLISHED = "besiroglu-2024"


def counted_exponents(losses: "pd.DataFrame") -> dict[str, dict[str, float]]:
    """Exponents of the first two steps from the count alone, for each law that is known.

    The laws are that of Besiroglu et al. 2024, and the one fitted to the runs with a matched
    cosine, where they determine one. The budgets are chosen so that the
    optimal runs take as many FLOPs, output head included, as the runs of the table.
    """
    from scaling_jax import laws

    law = laws.LAWS["chinchilla"]
    known = {"law of Besiroglu et al. 2024": law.published[_PUBLISHED]}
    matched = losses[losses["variation"] == "matched cosine"]
    try:
        fitted = laws.fit(matched, bootstrap=0)
        if not fitted.without_optimum:
            known["law of these runs"] = fitted.params
    except InputError:
        pass  # Too few runs for a law; the published one is left.
    sizes = losses[["params_non_embedding", "params_total"]].drop_duplicates()
    sizes = sizes.sort_values("params_non_embedding")
    outer, total = (sizes[name].to_numpy(float) for name in sizes)
    counted = losses[losses["variation"] != STEPS[0].name]["budget"]
    names = [step.name for step in STEPS[:2]]
    found = {}
    for name, constants in known.items():
        values = count_alone(constants, outer, total, (counted.min(), counted.max()))
        found[name] = dict(zip(names, values, strict=True))
    return found


def count_alone(
    constants: "Mapping[str, float]",
    outer_N: np.ndarray,
    total_N: np.ndarray,
    flops: tuple[float, float],
) -> tuple[float, float]:
    """Exponents of the optimal size without and with the vocabulary, NaN without an optimum.

    Args:
        constants: A, B, alpha and beta of L = E + A / N^alpha + B / D^beta, N with the vocabulary.
        outer_N: parameters of some shapes without the vocabulary, ascending.
        total_N: their parameters with it.
        flops: the range of the optimal runs' FLOPs with the vocabulary counted.
    """
    from scipy.interpolate import PchipInterpolator

    total_S = np.geomspace(total_N[0], total_N[-1], _SIZES)
    outer_S = np.exp(PchipInterpolator(np.log(total_N), np.log(outer_N))(np.log(total_S)))
    loss_of_N_S = constants["A"] * total_S ** -constants["alpha"]

    def exponent(counted_S: np.ndarray) -> float:
        budgets_G = np.geomspace(flops[0] * (counted_S[0] / total_S[0]), flops[1], _BUDGETS)
        tokens_GxS = budgets_G[:, None] / (6 * counted_S)
        best_G = (loss_of_N_S + constants["B"] * tokens_GxS ** -constants["beta"]).argmin(axis=1)
        spent_G = budgets_G * total_S[best_G] / counted_S[best_G]
        # Both counts are compared over the same runs; an end of the sizes is no optimum.
        inside_G = (flops[0] <= spent_G) & (spent_G <= flops[1])
        inside_G &= (best_G > 0) & (best_G < len(total_S) - 1)
        if inside_G.sum() < 2:
            return float("nan")
        sizes_G = counted_S[best_G[inside_G]]
        return float(np.polyfit(np.log(budgets_G[inside_G]), np.log(sizes_G), 1)[0])

    return exponent(outer_S), exponent(total_S)
