"""The frontier of C_min from curves whose L(N, S_min) and B_crit(L) are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws import KaplanFrontier

TRUTH = KaplanFrontier(A=8.0, alpha_N=0.12, B=20.0, alpha_S=0.6, B_star=4e4, inverse_alpha_B=3.0)
SIZES, BATCHES = (1e4, 3e4, 9e4, 27e4), (256, 1024, 4096, 16384, 65536)


def curves(noise=0.0, seed=0, truth=TRUTH, sizes=SIZES):
    """Held-out curves of every size and batch; a run's losses are all off by one factor."""
    rng, rows = np.random.default_rng(seed), []
    for params in sizes:
        for batch in BATCHES:
            steps_min_P = np.geomspace(10, 2e3, 40)
            loss_P = truth.A / params**truth.alpha_N + truth.B / steps_min_P**truth.alpha_S
            steps_P = steps_min_P * (1 + truth.critical_batch(1.0) / loss_P**3 / batch)
            loss_P = loss_P * np.exp(noise * rng.standard_normal())
            table = {"step": steps_P, "tokens": steps_P * batch, "loss": loss_P}
            run = {
                "run_id": f"{params:g}-{batch}",
                "params": params,
                "params_non_embedding": params,
            }
            rows.append(pd.DataFrame(table).assign(**run))
    return pd.concat(rows, ignore_index=True)


TARGETS = (4.5, 4.0, 3.6)


def test_constants_and_optima_of_exact_curves_are_found():
    found = laws.minimum_compute(curves(), TARGETS)
    for name in ("alpha_N", "alpha_S", "inverse_alpha_B"):
        assert getattr(found.frontier, name) == pytest.approx(getattr(TRUTH, name), rel=0.02)
    assert found.scatter < 1e-3
    best, truth = found.at(1e13), TRUTH.at(1e13)
    assert best.params == pytest.approx(truth.params, rel=0.05)
    assert best.critical_batch == pytest.approx(truth.critical_batch, rel=0.05)
    # The lowest losses of a few sizes lie above those of the best size, and close to them.
    above = found.envelope.loss / found.envelope.best_loss
    assert len(above) > 10
    assert above.between(0.999, 1.03).all()
    assert "power of C_min" in str(found)


@pytest.mark.parametrize("truth", [TRUTH, KaplanFrontier.published()])
def test_the_closed_form_is_the_optimum_of_the_law(truth):
    best = truth.at(1e20)
    assert best.flops_min == pytest.approx(1e20)

    def loss(log_params):
        """The loss of a size at the budget, from C_min = 6 N B_crit(L) S_min."""
        low, high = truth.A * np.exp(-truth.alpha_N * log_params), 1e6
        for _ in range(200):
            middle = (low * high) ** 0.5
            steps = 1e20 / (6 * np.exp(log_params) * truth.critical_batch(middle))
            low, high = (
                (middle, high) if truth.loss(np.exp(log_params), steps) > middle else (low, middle)
            )
        return middle

    centre = np.log(best.params)
    found = minimize_scalar(loss, bounds=(centre - 3, centre + 3), method="bounded")
    assert found.fun == pytest.approx(best.loss, rel=1e-6)
    assert np.exp(found.x) == pytest.approx(best.params, rel=1e-2)
    assert best.loss == pytest.approx(truth.loss(best.params, best.steps_min))
    converged = truth.A / best.params**truth.alpha_N
    assert best.loss / converged - 1 == pytest.approx(truth.excess)
    powers = truth.exponents
    assert powers["params"] + powers["batch"] + powers["steps"] == pytest.approx(1)
    assert truth.at(1e22).params / best.params == pytest.approx(100 ** powers["params"])


def test_kaplans_constants_give_kaplans_exponents():
    powers = KaplanFrontier.published().exponents
    # Section 6.2 prints 0.054, appendix B.7 0.052; Table 6 fits 0.73, 0.24 and 0.03.
    assert powers["loss"] == pytest.approx(0.052, abs=0.001)
    assert powers["batch"] == pytest.approx(0.24, abs=0.015)
    assert powers["steps"] < 0.1
    # Table 5: L = (3.1e8 PF-days / C_min)^0.050.
    assert KaplanFrontier.published().at(8.64e19).loss == pytest.approx(3.1e8**0.05, rel=0.02)


def test_intervals_cover_the_truth():
    truth = {name: TRUTH.exponents[name] for name in ("loss", "params", "steps")}
    held = dict.fromkeys(truth, 0)
    for seed in range(8):
        found = laws.minimum_compute(curves(noise=0.005, seed=seed), TARGETS)
        for name, value in truth.items():
            held[name] += found.exponents[name][1] <= value <= found.exponents[name][2]
    assert min(held.values()) >= 6, held


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[rows.params < 5e4], "2 model sizes"),
        (lambda rows: rows.drop(columns="params_non_embedding"), "params_non_embedding"),
        (lambda rows: rows.assign(loss=rows.loss + 9), "no run reaches the target loss"),
    ],
)
def test_curves_that_cannot_answer_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        laws.minimum_compute(change(curves()), TARGETS)


def test_a_critical_batch_that_shrinks_as_the_loss_falls_is_refused():
    rows = curves(truth=KaplanFrontier(8.0, 0.12, 20.0, 0.6, 4e4, 3.0))
    # The batch of every point is changed so that B_crit grows with the loss.
    steps = rows.step / (1 + 4e4 / rows.loss**3 * rows.step / rows.tokens)
    batch = rows.tokens / rows.step
    slower = steps * (1 + 50 * rows.loss**3 / batch)
    with pytest.raises(InputError, match="do not grow as the loss falls"):
        laws.minimum_compute(rows.assign(step=slower, tokens=slower * batch), TARGETS)


@pytest.mark.parametrize("name", ["A", "inverse_alpha_B"])
def test_constants_that_are_no_law_are_refused(name):
    with pytest.raises(InputError, match=name):
        KaplanFrontier(**{**TRUTH.__dict__, name: -1.0})
