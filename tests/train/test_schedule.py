import jax.numpy as jnp
import numpy as np
import pytest

from scaling_jax.train.schedule import Horizon, learning_rate


def rates(steps, warmup, peak=1e-2, final=0.1):
    horizon = Horizon(*(jnp.float32(x) for x in (peak, warmup, steps, final)))
    return np.array([float(learning_rate(jnp.int32(i), horizon)) for i in range(steps)])


@pytest.mark.parametrize(("steps", "warmup"), [(100, 10), (57, 1), (20, 0)])
def test_the_cosine_ends_at_a_tenth_of_the_peak_at_exactly_the_last_step(steps, warmup):
    lr = rates(steps, warmup)
    assert lr[-1] == pytest.approx(1e-3, rel=1e-5)
    assert lr.max() == pytest.approx(1e-2, rel=1e-5)
    assert lr.argmax() in (warmup - 1, warmup, 0)
    assert (np.diff(lr[warmup:]) < 0).all()


def test_the_warm_up_is_linear_and_never_zero():
    np.testing.assert_allclose(rates(50, 5)[:5], 1e-2 * np.arange(1, 6) / 5, rtol=1e-5)


def test_the_cosine_is_half_way_down_half_way_through():
    lr = rates(101, 0, final=0.0)
    assert lr[50] == pytest.approx(5e-3, rel=1e-4)
