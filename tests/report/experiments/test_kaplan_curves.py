"""Curves that follow L(N, S) give its exponents back, and tokens to a loss by interpolation."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.efficient_training import crossing, efficient_training
from scaling_jax.report.experiments.kaplan_curves import curve_figure, tokens_to_losses
from scaling_jax.report.experiments.steps_law import fit_steps_law

A, B, ALPHA_N, ALPHA_S = 4.0, 30.0, 0.1, 0.7


def loss(params: float, steps: np.ndarray) -> np.ndarray:
    return A / params**ALPHA_N + B / steps**ALPHA_S


def curves() -> pd.DataFrame:
    step_T = np.geomspace(100, 1e5, 61)
    runs = [
        pd.DataFrame({"step": step_T, "loss": loss(size, step_T)}).assign(
            run_id=f"run{size:g}", params=2 * size, params_non_embedding=size
        )
        for size in (1e4, 1e5, 1e6)
    ]
    table = pd.concat(runs, ignore_index=True)
    return table.assign(tokens=1024 * table["step"], flops=6e3 * table["params"] * table["step"])


def test_the_law_and_the_tokens_to_a_loss_are_those_of_the_curves() -> None:
    fit = fit_steps_law(curves(), bootstrap=0)
    assert fit.params["alpha_N"] == pytest.approx(ALPHA_N, rel=1e-3)
    assert fit.params["alpha_S"] == pytest.approx(ALPHA_S, rel=1e-3)
    found = tokens_to_losses(curves()).dropna()
    for row in found.itertuples():
        exact = loss(row.params, np.array(row.tokens / 1024))
        assert exact == pytest.approx(row.loss, rel=2e-3)
    # Larger models need fewer tokens to a loss.
    for _, runs in found.groupby("loss"):
        assert (runs.sort_values("params")["tokens"].diff().dropna() < 0).all()
    assert len(curve_figure(curves(), fit).axes) == 2


def test_efficient_training_costs_least_among_all_ways_to_a_loss() -> None:
    best = efficient_training(ALPHA_N, ALPHA_S)
    costs = [
        efficient_training(ALPHA_N, ALPHA_S, converged_excess=best.excess * factor).compute_ratio
        for factor in (0.25, 0.8, 1, 1.25, 4)
    ]
    # Over each other way's compute the efficient one is at most 1, and equal to itself.
    assert max(costs) == costs[2] == pytest.approx(1)


def test_at_the_crossing_both_laws_give_the_same_loss() -> None:
    found = crossing((3.1e8, 0.05), (4e10, 0.26), (5.4e13, 0.095))
    assert (3.1e8 / found.compute) ** 0.05 == pytest.approx(found.loss)
    assert found.tokens == pytest.approx(4e10 * found.compute**0.26)
    with pytest.raises(InputError, match="do not cross"):
        crossing((3.1e8, 0.02), (4e10, 0.26), (5.4e13, 0.095))
