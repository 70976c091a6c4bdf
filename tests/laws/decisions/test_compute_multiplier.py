"""One recipe against another, and what training takes in time and money."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws import Fit, LawFit, compute_multiplier, training_cost
from scaling_jax.laws.decisions.surface import Surface, surface_of
from scaling_jax.laws.frontier_fit import FrontierFit

LAW = dict(E=1.8, A=480.0, B=2000.0, alpha=0.35, beta=0.37)


def fit_of(constants, *, draws=0, spread=0.01, seed=0, hold_floor=False, **changes):
    """A fit with these constants and with draws scattered about them."""
    drawn = None
    if draws:
        rng = np.random.default_rng(seed)
        scatter = spread * rng.normal(size=(draws, len(constants)))
        if hold_floor:
            scatter[:, 0] = 0
        drawn = np.array(list(constants.values())) * np.exp(scatter)
    made = LawFit(
        approach=3,
        definition=laws.LAWS["chinchilla"],
        params=constants,
        level=0.9,
        count="total",
        objective={},
        n_points=50,
        n_dropped={},
        diagnostics=(),
        flops_range=(1e17, 1e20),
        reference_flops=1e20,
        provenance={"options": {}},
        draws_BxP=drawn,
    )
    return dataclasses.replace(made, **changes)


def improved(constants, factor):
    """The law under which every token and parameter is worth as much, at `factor` less compute."""
    return constants | {
        "A": constants["A"] * factor ** (-constants["alpha"] / 2),
        "B": constants["B"] * factor ** (-constants["beta"] / 2),
    }


@settings(deadline=None)
@given(factor=st.floats(0.1, 10), flops=st.floats(1e17, 1e26))
def test_a_recipe_that_needs_a_known_share_of_the_compute(factor, flops):
    found = compute_multiplier(fit_of(LAW), fit_of(improved(LAW, factor)), flops=flops)
    assert found.multiplier.value == pytest.approx(factor, rel=1e-6)
    assert found.flops_needed.value == pytest.approx(flops / factor, rel=1e-6)
    assert found.reached


@settings(deadline=None)
@given(flops=st.floats(1e17, 1e24))
def test_there_and_back_again(flops):
    a, b = fit_of(LAW), fit_of(dict(E=1.75, A=300.0, B=900.0, alpha=0.31, beta=0.33))
    there = compute_multiplier(a, b, flops=flops)
    back = compute_multiplier(b, a, flops=there.flops_needed.value)
    assert back.flops_needed.value == pytest.approx(flops, rel=1e-6)
    assert back.multiplier.value * there.multiplier.value == pytest.approx(1, rel=1e-6)
    reached = b.optimal(there.flops_needed.value).loss
    assert reached == pytest.approx(a.optimal(flops).loss, rel=1e-9)


def test_a_floor_above_the_loss_is_said_plainly():
    a, b = fit_of(LAW), fit_of(LAW | {"E": 2.2})
    found = compute_multiplier(a, b, flops=1e24)
    assert a.optimal(1e24).loss < 2.2
    assert not found.reached
    assert found.multiplier.value == 0
    assert found.flops_needed.value == math.inf
    assert "never" in found.verdict
    assert "2.2" in found.verdict


def test_intervals_and_the_share_of_draws_that_get_there():
    found = compute_multiplier(
        fit_of(LAW, draws=400, seed=1), fit_of(improved(LAW, 2), draws=300, seed=2), flops=1e20
    )
    low, high = found.multiplier.interval
    assert low < 2 < high
    assert found.share_reached == 1
    wide = fit_of(improved(LAW, 2), draws=300, seed=2, spread=0.2)
    doubtful = compute_multiplier(fit_of(LAW, draws=400, seed=1), wide, flops=1e24)
    assert 0 < doubtful.share_reached < 1
    assert doubtful.multiplier.interval[0] == 0
    assert doubtful.flops_needed.interval[1] == math.inf
    assert "resamples" in doubtful.verdict


def test_draws_of_both_fits_count_as_independent():
    """Fits of one seed have draws in step; a recipe against itself is still uncertain."""
    same = fit_of(LAW, draws=500, seed=1)
    other = fit_of(LAW, draws=500, seed=2)
    tied = compute_multiplier(same, same, flops=1e20).multiplier.interval
    free = compute_multiplier(same, other, flops=1e20).multiplier.interval
    assert tied[1] - tied[0] == pytest.approx(free[1] - free[0], rel=0.25)
    assert tied[0] < 0.95 < 1.05 < tied[1]


def test_a_fit_without_draws_gives_no_interval():
    found = compute_multiplier(fit_of(LAW), fit_of(LAW, draws=50), flops=1e20)
    assert found.multiplier.interval is None
    assert found.share_reached is None


def test_a_shared_floor_must_have_been_held():
    fitted = fit_of(LAW, draws=50)
    held = [fit_of(LAW, draws=50, hold_floor=True, seed=seed) for seed in (1, 2)]
    found = compute_multiplier(*held, flops=1e20, shared_floor=True)
    assert found.multiplier.value == pytest.approx(1)
    recorded = fit_of(LAW, provenance={"options": {"fixed": {"E": 1.8}}})
    assert compute_multiplier(recorded, held[0], flops=1e20, shared_floor=True).reached
    elsewhere = fit_of(LAW | {"E": 1.7}, draws=50, hold_floor=True)
    for b in (fitted, fit_of(LAW), elsewhere):
        with pytest.raises(InputError, match=r"A holds E 1\.8 and B .* fixed="):
            compute_multiplier(held[0], b, flops=1e20, shared_floor=True)


def isoflop_fit():
    """A fit of approach 2 with the fields that it shares with `fit_of(LAW)`."""
    shared = {field.name: getattr(fit_of(LAW), field.name) for field in dataclasses.fields(Fit)}
    powers = {"N_ref": 1e9, "D_ref": 2e10, "a": 0.5, "b": 0.5}
    objective = {"curve": "parabola", "corrected": False}
    return FrontierFit(**shared | dict(approach=2, params=powers, objective=objective))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: fit_of(LAW, count="non_embedding"), ["non_embedding", "same count"]),
        (isoflop_fit, ["approach 2", "approach 3"]),
    ],
)
def test_fits_that_cannot_be_compared_are_refused(other, words):
    with pytest.raises(InputError) as caught:
        compute_multiplier(fit_of(LAW), other(), flops=1e20)
    for word in words:
        assert word in str(caught.value)
    with pytest.raises(InputError, match="flops 0"):
        compute_multiplier(fit_of(LAW), fit_of(LAW), flops=0)


def test_a_surface_is_the_fits_own_law():
    fit = fit_of(LAW, draws=30)
    surface = surface_of(fit)
    loss = surface.loss(1e9, 2e10)
    assert loss[0] == fit.predict(params=1e9, tokens=2e10).loss
    assert surface.estimate(loss).interval == fit.predict(params=1e9, tokens=2e10).law_interval
    params, tokens = surface.training_optimum(1e21)
    assert (params[0], tokens[0]) == (fit.optimal(1e21).params, fit.optimal(1e21).tokens)
    with pytest.raises(InputError, match="has the constants E, A, B, alpha, beta"):
        Surface.of("chinchilla", {"E": 1.0})


def test_time_and_money():
    cost = training_cost(1.8e21, peak_flops=1e15, utilization=0.5, chips=8, price_per_chip_hour=2.5)
    assert cost.chip_hours == pytest.approx(1000)
    assert cost.hours == pytest.approx(125)
    assert cost.price == pytest.approx(2500)
    assert (cost.peak_flops, cost.utilization) == (1e15, 0.5)
    assert training_cost(1e20, peak_flops=1e15, utilization=1.0).price is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(flops=-1.0), ["flops -1"]),
        (dict(peak_flops=0.0), ["peak_flops 0"]),
        (dict(utilization=40.0), ["40", "at most at 1"]),
        (dict(chips=0), ["0 chips"]),
        (dict(price_per_chip_hour=-2.0), ["-2", "negative"]),
    ],
)
def test_costs_that_cannot_be_are_refused(change, words):
    arguments = dict(flops=1e20, peak_flops=1e15, utilization=0.4) | change
    with pytest.raises(InputError) as caught:
        training_cost(**arguments)
    for word in words:
        assert word in str(caught.value)
