"""One power law of compute, with a floor that is fitted, declared or absent."""

import numpy as np
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.frontier_loss import frontier_loss
from scaling_jax.laws.extrapolation.power_of_compute import fit_power
from scaling_jax.laws.priors import Prior

FLOPS = np.geomspace(1e17, 1e21, 6)


def losses(floor, scale=1.3, gamma=0.12):
    return floor + scale * (FLOPS / 1e19) ** -gamma


@pytest.mark.parametrize(
    ("truth", "held"), [(1.6, None), (1.6, 1.6), (0.0, 0.0)], ids=["free", "held", "none"]
)
def test_the_law_of_the_losses_is_found_and_carried_on(truth, held):
    fit = fit_power(FLOPS, losses(truth), held)
    assert fit.floor == pytest.approx(truth, abs=1e-5)
    assert fit.gamma == pytest.approx(0.12, rel=1e-5)
    assert float(fit.loss(1e23)) == pytest.approx(truth + 1.3 * 1e4**-0.12, rel=1e-6)


def test_a_declared_floor_is_held_and_no_fit_of_it_is_better():
    noisy = losses(1.6) * np.exp(0.003 * np.random.default_rng(1).normal(size=len(FLOPS)))

    def misfit(fit):
        return np.sum((fit.loss(FLOPS) / noisy - 1) ** 2)

    free = fit_power(FLOPS, noisy)
    for floor in (0.0, 1.0, 1.5, 1.7):
        held = fit_power(FLOPS, noisy, floor)
        assert held.floor == pytest.approx(floor)
        assert misfit(free) <= misfit(held) * (1 + 1e-9)


@pytest.mark.parametrize("floor", [0.0, 1.0, 1.6, 2.0])
def test_the_free_fit_is_as_close_as_that_of_approach_2(floor):
    def misfit(constants):
        e, k, gamma = constants
        return np.sum(((e + k * (FLOPS / 1e19) ** -gamma) / noisy - 1) ** 2)

    for seed in range(8):
        rng = np.random.default_rng(seed)
        noisy = losses(floor, gamma=0.07) * np.exp(0.01 * rng.normal(size=len(FLOPS)))
        fit = fit_power(FLOPS, noisy)
        found = (fit.floor, fit.scale * (1e19 / fit.reference) ** -fit.gamma, fit.gamma)
        assert misfit(found) <= misfit(frontier_loss(FLOPS, noisy[None], 1e19)[0]) * (1 + 1e-9)


def test_a_prior_of_the_floor_moves_it_as_far_as_the_data_are_silent():
    noisy = losses(1.6) * np.exp(0.003 * np.random.default_rng(4).normal(size=len(FLOPS)))
    free = fit_power(FLOPS, noisy).floor
    floors = [
        fit_power(FLOPS, noisy, prior=Prior(1.0, sd)).floor for sd in (1e-4, 0.1, 0.3, 1.0, 1e3)
    ]
    assert floors[0] == pytest.approx(1.0, abs=1e-3)
    assert floors == sorted(floors)
    assert floors[-1] == pytest.approx(free, abs=1e-3)
    exact = fit_power(FLOPS, losses(1.6), prior=Prior(1.5, 0.2))
    assert exact.floor == pytest.approx(1.6, abs=0.01)
    relative = fit_power(FLOPS, noisy, prior=Prior(1 / noisy.min(), 0.3, relative=True))
    assert relative.floor == pytest.approx(floors[2])


def test_units_of_compute_and_loss_change_nothing():
    noisy = losses(1.6) * np.exp(0.003 * np.random.default_rng(3).normal(size=len(FLOPS)))
    plain, other = fit_power(FLOPS, noisy), fit_power(FLOPS / 8.64e19, noisy / np.log(2))
    assert float(other.loss(1e23 / 8.64e19)) * np.log(2) == pytest.approx(float(plain.loss(1e23)))


@pytest.mark.parametrize(
    ("floor", "prior", "message"),
    [
        (1.0, Prior(1.0, 0.1), "give one of the two"),
        (None, Prior(-1.0, 0.1), "must be positive"),
        (None, Prior(3.0, 0.1), "below the lowest loss"),
        (None, Prior(1.0, 0.1, relative=True), "below the lowest loss"),
    ],
    ids=["both", "negative", "above the data", "at the lowest loss"],
)
def test_a_prior_that_cannot_be_is_refused(floor, prior, message):
    with pytest.raises(InputError, match=message):
        fit_power(FLOPS, losses(1.6), floor, prior)


@pytest.mark.parametrize(
    ("flops", "loss", "floor", "message"),
    [
        (FLOPS[[0, 0, 1, 2]], losses(1.6)[:4], None, "3 distinct values of compute"),
        (FLOPS, losses(1.6), 3.0, "below the lowest loss"),
        (FLOPS, losses(1.6), -1.0, "at least 0"),
        (FLOPS, losses(1.6)[::-1], 0.0, "do not fall with compute"),
    ],
    ids=["few", "high floor", "negative floor", "rising"],
)
def test_points_that_show_no_such_law_are_refused(flops, loss, floor, message):
    with pytest.raises(InputError, match=message):
        fit_power(flops, loss, floor)
