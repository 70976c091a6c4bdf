"""Bounds of the optimal loss over all positive mixtures of power laws."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.errors import InputError
from scaling_jax.laws.extrapolation.bands import measured_bands
from scaling_jax.laws.extrapolation.certificate import (
    certify,
    certify_rows,
)
from scaling_jax.laws.extrapolation.judgement import certificate_notes
from scaling_jax.laws.tables.select import usable_rows

FLOPS = np.geomspace(1e18, 1e21, 8)
TARGET = 1e22


def mixture(flops, weights=(0.6, 0.5, 0.6), exponents=(0.3, 0.15, 0.05), floor=1.5):
    ratio = np.asarray(flops, np.float64) / 1e19
    return floor + sum(w * ratio**-g for w, g in zip(weights, exponents, strict=True))


def bands(loss, share=0.002, **options):
    return measured_bands(FLOPS, loss, share * loss, **options)


@pytest.mark.parametrize("target", [1e19, 1e22, 1e24])
@pytest.mark.parametrize("share", [1e-6, 1e-3, 0.01])
def test_three_powers_above_a_floor_lie_inside_at_every_distance(target, share):
    found = certify(bands(mixture(FLOPS), share), target)
    assert not found.refuted
    assert found.low <= mixture(target) <= found.high


def test_noise_leaves_the_truth_inside_at_least_as_often_as_the_level():
    outside = 0
    for seed in range(60):
        noisy = mixture(FLOPS) * np.exp(0.003 * np.random.default_rng(seed).normal(size=len(FLOPS)))
        found = certify(bands(noisy, 0.003, level=0.9), TARGET)
        outside += found.refuted or not found.low <= mixture(TARGET) <= found.high
    assert outside <= 6


def test_exact_losses_of_one_power_leave_little_room_and_room_grows_with_distance():
    loss = mixture(FLOPS, (1.2,), (0.15,))
    widths = []
    for target in (2e21, 1e22, 1e23):
        found = certify(bands(loss, 1e-5), target)
        truth = mixture(target, (1.2,), (0.15,))
        assert found.low <= truth <= found.high
        widths.append((found.high - found.low) / truth)
    assert widths == sorted(widths)
    assert widths[1] < 0.02


def test_the_floorless_power_and_the_floor_with_the_steepest_power_are_both_members():
    for floor, weights, exponents in ((0.0, (3.0,), (0.04,)), (2.0, (0.5,), (0.36,))):
        loss = mixture(FLOPS, weights, exponents, floor)
        found = certify(bands(loss, 1e-5), TARGET)
        assert found.low <= mixture(TARGET, weights, exponents, floor) <= found.high


def test_losses_that_fall_ever_faster_refute_the_class():
    log = np.log(FLOPS / 1e18)
    found = certify(bands(3 - 0.05 * log - 0.01 * log**2), TARGET)
    assert found.refuted
    assert found.low is None
    assert found.high is None
    assert found.inflation > 1
    assert "times as wide" in str(found)


def test_a_raised_rung_is_the_conflict_and_bands_of_the_inflation_let_a_member_through():
    loss = mixture(FLOPS)
    loss[3] *= 1.03
    found = certify(bands(loss), TARGET)
    assert found.refuted
    assert found.conflict == pytest.approx(FLOPS[3])
    assert not certify(bands(loss, widened=1.001 * found.inflation), TARGET).refuted
    assert certify(bands(loss, widened=0.999 * found.inflation), TARGET).refuted


def test_units_of_loss_and_compute_change_nothing():
    loss = mixture(FLOPS)
    plain = certify(bands(loss), TARGET)
    other = certify(
        measured_bands(FLOPS / 6e18, loss / np.log(2), 0.002 * loss / np.log(2)), TARGET / 6e18
    )
    assert other.low * np.log(2) == pytest.approx(plain.low, rel=1e-6)
    assert other.high * np.log(2) == pytest.approx(plain.high, rel=1e-6)
    assert other.inflation == pytest.approx(plain.inflation, abs=1e-4)


def test_the_order_of_budgets_is_irrelevant_and_wider_bands_give_wider_ranges():
    loss = mixture(FLOPS)
    plain = certify(bands(loss), TARGET)
    turned = certify(measured_bands(FLOPS[::-1], loss[::-1], 0.002 * loss[::-1]), TARGET)
    assert (turned.low, turned.high) == pytest.approx((plain.low, plain.high))
    wider = certify(bands(loss, widened=3), TARGET)
    assert wider.low < plain.low < plain.high < wider.high


def test_minima_of_a_table_give_the_bands_and_few_degrees_of_freedom_widen_them():
    budget = np.repeat([1e18, 1e19, 1e20, 1e21], 7)
    params = np.tile(np.geomspace(0.3, 3, 7), 4) * np.sqrt(budget / 120)
    table = pd.DataFrame({"params": params, "tokens": budget / 6 / params, "budget": budget})
    noise = np.exp(0.002 * np.random.default_rng(0).normal(size=len(table)))
    table["loss"] = (1.7 + 400 / table.params**0.34 + 410 / table.tokens**0.28) * noise
    found = certify_rows(usable_rows(table), TARGET)
    best = np.min(
        1.7 + 400 / (p := np.geomspace(1e8, 1e12, 9999)) ** 0.34 + 410 / (1e22 / 6 / p) ** 0.28
    )
    assert found.low < best < found.high
    few = measured_bands(FLOPS, mixture(FLOPS), 0.01 * mixture(FLOPS), degrees=4)
    many = measured_bands(FLOPS, mixture(FLOPS), 0.01 * mixture(FLOPS))
    assert few.high[0] > many.high[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [3, 2], [0.1, 0.1]), "at least 3 budgets"),
        (([1, 2, 2], [3, 2, 2], [0.1, 0.1, 0.1]), "each given once"),
        (([1, 2, 3], [3, 2, 1], [0.1, 0.0, 0.1]), "standard errors must be positive"),
        (([1, 2, 3], [3, 2], [0.1, 0.1, 0.1]), "one of each per budget"),
        (([1, 2, 3], [3, np.nan, 1], [0.1, 0.1, 0.1]), "losses must be positive numbers, not nan"),
    ],
    ids=["few", "twice", "no error", "lengths", "nan"],
)
def test_measurements_that_bound_nothing_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        measured_bands(*arguments)


def test_a_target_or_a_class_that_is_none_is_refused():
    through = bands(mixture(FLOPS))
    with pytest.raises(InputError, match="must be a positive number"):
        certify(through, 0.0)
    with pytest.raises(InputError, match="ascending range above 0"):
        certify(through, TARGET, (0.0, 0.3))


def test_a_table_without_enough_minima_is_refused():
    table = pd.DataFrame(
        {"params": [1e6, 2e6, 4e6, 8e6], "tokens": [1e9] * 4, "loss": [4, 3.5, 3, 2.9]}
    )
    with pytest.raises(InputError, match="0 budgets have 4 sizes"):
        certify_rows(usable_rows(table), TARGET)


def test_a_law_outside_the_range_is_called_out_and_one_without_an_optimum_is_not() -> None:
    params, flops = (g.ravel() for g in np.meshgrid(np.geomspace(2e7, 2e9, 9), FLOPS[2:6]))
    tokens = flops / 6 / params
    table = pd.DataFrame({"params": params, "tokens": tokens, "budget": flops})
    table["loss"] = 1.7 + 400 / params**0.34 + 410 / tokens**0.28
    rows, fitted = usable_rows(table), laws.fit(table, bootstrap=0)
    lower = replace(fitted, params=fitted.params | {"E": 1.5})
    rising = replace(fitted, params=fitted.params | {"alpha": -0.34})
    (agrees,) = certificate_notes(rows, TARGET, fitted=fitted)
    (contradicts,) = certificate_notes(rows, TARGET, fitted=lower)
    (without,) = certificate_notes(rows, TARGET, fitted=rising)
    assert rising.without_optimum
    assert "fitted law" not in agrees
    assert "fitted law" not in without
    assert f"The fitted law says {lower.optimal(TARGET).loss:.4f}, outside" in contradicts
