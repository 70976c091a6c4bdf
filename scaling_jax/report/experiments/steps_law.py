"""L(N, S) of Kaplan et al. 2020 (equation 1.6), fitted to held-out curves at one batch."""

from typing import TYPE_CHECKING

from scaling_jax import laws
from scaling_jax.laws.conventions import SETTLED

if TYPE_CHECKING:
    import pandas as pd

    from scaling_jax.laws import Fit


def fit_steps_law(curves: "pd.DataFrame", bootstrap: int = 200) -> "Fit":
    """`L = A / N^alpha_N + B / S^alpha_S` by size without embeddings and step; runs are resampled.

    At one batch for all runs, the steps are a constant multiple of S_min where the batch is far
    above the critical one, and of the tokens where it is far below.

    Args:
        curves: held-out curves, as `scaling_jax.study.curves` gives them.
        bootstrap: number of resamples.

    Raises:
        InputError: too few points for the law.
    """
    longest = curves.groupby("run_id")["tokens"].transform("max")
    settled = curves[curves["tokens"] >= SETTLED * longest]
    table = settled[["run_id", "loss"]].assign(
        params=settled["params"],
        params_non_embedding=settled["params_non_embedding"],
        steps=settled["step"],
    )
    return laws.fit(table, law="kaplan-params-steps", count="non_embedding", bootstrap=bootstrap)
