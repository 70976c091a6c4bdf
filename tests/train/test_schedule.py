"""Learning rates at the knots of every schedule."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_run

from scaling_jax.train.schedule import Horizon, learning_rate


def rates(steps, warmup, peak=1e-2, **changes):
    optimizer = {"peak_lr": peak, "warmup_steps": warmup} | changes
    config = small_run("text", steps=steps, optimizer=optimizer)
    horizon = Horizon.of(config)
    taken = jnp.arange(steps)
    return np.asarray(
        [learning_rate(i, horizon, config.optimizer.schedule) for i in taken], np.float64
    )


@pytest.mark.parametrize(("steps", "warmup"), [(100, 10), (57, 1), (20, 0)])
def test_the_cosine_ends_at_a_tenth_of_the_peak_at_exactly_the_last_step(steps, warmup):
    lr = rates(steps, warmup)
    assert lr[-1] == pytest.approx(1e-3, rel=1e-5)
    assert lr.max() == pytest.approx(1e-2, rel=1e-5)
    assert lr.argmax() in (warmup - 1, warmup, 0)
    assert (np.diff(lr[warmup:]) < 0).all()


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant", "wsd"])
def test_the_warm_up_is_linear_and_never_zero(schedule):
    lr = rates(50, 5, schedule=schedule)
    np.testing.assert_allclose(lr[:5], 1e-2 * np.arange(1, 6) / 5, rtol=1e-5)


def test_the_cosine_is_half_way_down_half_way_through():
    lr = rates(101, 0, final_lr_fraction=0.0)
    assert lr[50] == pytest.approx(5e-3, rel=1e-4)


def test_a_cosine_of_a_longer_cycle_is_the_longer_runs_cut_short():
    cut = rates(40, 5, cycle=2.5)
    np.testing.assert_allclose(cut, rates(100, 5)[:40], rtol=1e-6)


def test_a_line_descends_to_nothing_in_equal_steps():
    lr = rates(21, 0, schedule="linear")
    np.testing.assert_allclose(lr, 1e-2 * np.linspace(1, 0, 21), atol=1e-8)


def test_constant_stays_at_the_peak():
    np.testing.assert_allclose(rates(30, 6, schedule="constant")[5:], 1e-2, rtol=1e-6)


def test_wsd_holds_and_then_cools_down_by_one_minus_the_square_root():
    lr = rates(101, 10, schedule="wsd", cooldown_share=0.2)
    np.testing.assert_allclose(lr[9:81], 1e-2, rtol=1e-6)
    # Hägele et al. 2024: 1 - sqrt((n - n_hold) / n_decay).
    np.testing.assert_allclose(lr[80:], 1e-2 * (1 - np.sqrt(np.arange(21) / 20)), atol=1e-8)
    longer = rates(61, 10, schedule="wsd", cooldown_share=1.0, final_lr_fraction=0.5)
    assert longer[10] == pytest.approx(1e-2)
    assert longer[-1] == pytest.approx(5e-3)
