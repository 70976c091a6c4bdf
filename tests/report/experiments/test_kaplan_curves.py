"""Curves that follow L(N, S) give its exponents back, and tokens to a loss by interpolation."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.decisions.efficient_training import crossing, efficient_training
from scaling_jax.report.experiments.crossing import (
    find_crossing,
    frontier_at_one_batch,
    frontier_errors,
    frontier_text,
)
from scaling_jax.report.experiments.kaplan_curves import (
    curve_figure,
    efficient_text,
    tokens_to_losses,
)
from scaling_jax.report.experiments.steps_law import fit_steps_law

A, B, ALPHA_N, ALPHA_S = 4.0, 30.0, 0.1, 0.7


def loss(params: float, steps: np.ndarray) -> np.ndarray:
    return A / params**ALPHA_N + B / steps**ALPHA_S


def curves(sizes: tuple[float, ...] = (1e4, 1e5, 1e6), steps: float = 1e5) -> pd.DataFrame:
    step_T = np.geomspace(100, steps, 61)
    runs = [
        pd.DataFrame({"step": step_T, "loss": loss(size, step_T)}).assign(
            run_id=f"run{size:g}", params=2 * size, params_non_embedding=size
        )
        for size in sizes
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


def test_the_frontier_at_one_batch_is_the_least_loss_of_a_budget() -> None:
    law = {"A": A, "alpha_N": ALPHA_N, "B": B, "alpha_S": ALPHA_S}
    frontier = frontier_at_one_batch(law, 1024)
    for flops in (1e13, 1e15):
        sizes = np.geomspace(1e2, 1e9, 20_001)
        least = loss(sizes, flops / (6 * 1024 * sizes)).min()
        assert frontier.at(flops).loss == pytest.approx(least, rel=1e-6)
    # A size lies on the frontier at one FLOP value, and little above it at its neighbours.
    errors = frontier_errors(curves((5e4, 1e5, 2e5), steps=8000), frontier)
    assert len(errors)
    assert (errors > -1e-4).all()
    assert errors.min() < 1e-3
    assert errors.max() < 0.01
    # These sizes are too far apart for any curve to lie between two others.
    assert not len(frontier_errors(curves(), frontier))


def test_the_crossing_of_two_fits_is_where_both_laws_give_one_loss() -> None:
    rng = np.random.default_rng(0)
    table = curves().assign(loss=lambda t: t["loss"] * np.exp(rng.normal(0, 2e-3, len(t))))
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e4, 1e6, 4), np.geomspace(1e5, 1e8, 4)))
    both = (300 / n**0.5 + 3e6 / d) ** 0.2 * np.exp(rng.normal(0, 2e-3, len(n)))
    data = pd.DataFrame({"params": n, "params_non_embedding": n, "tokens": d, "loss": both})
    of_data = laws.fit(data, law="kaplan", count="non_embedding", bootstrap=20)
    found = find_crossing(fit_steps_law(table, bootstrap=20), 1024, of_data)
    known = frontier_at_one_batch({"A": A, "alpha_N": ALPHA_N, "B": B, "alpha_S": ALPHA_S}, 1024)
    exact = found.values["C*"]
    assert known.at(exact).loss == pytest.approx(found.values["L*"], rel=0.02)
    assert (3e6 / found.values["D*"]) ** 0.2 == pytest.approx(found.values["L*"], rel=0.02)
    assert found.values["C*"] == pytest.approx(6 * found.values["N*"] * found.values["D*"])
    assert found.crossing_share == 1
    for name, (low, high) in found.intervals.items():
        assert low < high, name
    assert "100% of the resamples cross" in str(found)


def test_laws_that_do_not_cross_at_any_number_are_refused() -> None:
    steps = SimpleNamespace(params={"A": A, "alpha_N": 1e-3, "B": B, "alpha_S": ALPHA_S})
    data = SimpleNamespace(params={"B": 3e6, "alpha_D": 0.2})
    with pytest.raises(InputError, match="exceeds every number"):
        find_crossing(steps, 1024, data)
    flat = frontier_at_one_batch(steps.params, 1024)
    text = frontier_text(curves((5e4, 1e5, 2e5), steps=8000), flat)
    assert "its constants exceed every number" in text
    steps.params["alpha_N"], data.params["alpha_D"] = ALPHA_N, 0.9
    with pytest.raises(InputError, match="do not cross"):
        find_crossing(steps, 1024, data)


def test_what_efficient_training_saves_is_called_undetermined_where_it_is() -> None:
    def steps_law(alpha_S_B: np.ndarray) -> SimpleNamespace:
        draws_BxP = np.stack([np.full_like(alpha_S_B, ALPHA_N), alpha_S_B], axis=1)
        params = {"alpha_N": ALPHA_N, "alpha_S": ALPHA_S}
        return SimpleNamespace(params=params, draws_BxP=draws_BxP, level=0.9)

    known = efficient_text(steps_law(np.linspace(0.65, 0.75, 101)))
    assert "stops 14.3% (13.4% to 15.3%) above" in known
    assert "do not determine" not in known
    unknown = efficient_text(steps_law(np.linspace(0.05, 0.75, 11)))
    assert "(13.3% to 200.0%)" in unknown
    assert "do not determine" in unknown
