"""The estimate of the gradient noise scale, against gradients of known mean and covariance."""

import math

import numpy as np
import pytest

from scaling_jax.runs.noise_scale import GradientNoise, gradient_noise, together

DIMS, GRADIENTS, SMALL = 40, 24, 2
SD_D = np.linspace(0.2, 3.0, DIMS)
G_D = np.linspace(-0.4, 0.5, DIMS)
GRAD_SQ, TRACE = float(G_D @ G_D), float(SD_D @ SD_D)


def drawn(rng, grad=G_D, n=GRADIENTS):
    """Moments of n mean gradients of `SMALL` sequences each."""
    each_KxBxD = grad + SD_D * rng.standard_normal((n, SMALL, DIMS))
    g_KxD = each_KxBxD.mean(axis=1)
    return (g_KxD**2).sum(axis=1), g_KxD @ g_KxD.mean(axis=0)


def noises(n, seed=0, **known):
    rng = np.random.default_rng(seed)
    return [gradient_noise(*drawn(rng, **known), SMALL) for _ in range(n)]


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 3.0])
def test_the_two_estimates_are_unbiased_and_their_errors_are_as_large_as_said(strength):
    found = noises(2000, grad=strength * G_D)
    for name, truth in (("grad_sq", strength**2 * GRAD_SQ), ("noise", TRACE)):
        values = np.array([getattr(noise, name) for noise in found])
        assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(len(values))
        expected = np.mean([getattr(noise, f"{name}_var") for noise in found])
        # The jackknife counts the part of the variance twice that |G|^2 has at G = 0.
        most = 1.1 if name == "noise" or strength > 1 else 2.4
        assert 0.9 < expected / values.var() < most


def test_the_estimates_are_those_of_two_batch_sizes():
    """McCandlish et al. 2018, appendix A.1."""
    norms_K, dots_K = drawn(np.random.default_rng(1))
    found = gradient_noise(norms_K, dots_K, SMALL)
    big, small_sq, big_sq = GRADIENTS * SMALL, norms_K.mean(), dots_K.mean()
    grad_sq = (big * big_sq - SMALL * small_sq) / (big - SMALL)
    assert found.grad_sq == pytest.approx(grad_sq)
    assert found.noise == pytest.approx((small_sq - big_sq) / (1 / SMALL - 1 / big))


@pytest.mark.parametrize("strength", [3.0, 1.0, 0.3])
def test_intervals_cover_the_truth_as_often_as_they_say(strength):
    truth = TRACE / (strength**2 * GRAD_SQ)
    ends = np.array([noise.scale()[1:] for noise in noises(1000, grad=strength * G_D)])
    covered = ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean()
    assert 0.94 < covered < 1
    if strength < 1:  # There the gradient is often lost in its noise, and no upper end is known.
        assert np.isinf(ends[:, 1]).mean() > 0.05


def test_averages_over_measurements_are_taken_before_the_ratio():
    found = noises(400, grad=0.3 * G_D)
    truth = TRACE / (0.09 * GRAD_SQ)
    groups = [together(found[i : i + 20]) for i in range(0, 400, 20)]
    inside = [low <= truth <= high for _, low, high in (noise.scale() for noise in groups)]
    assert sum(inside) >= 17
    ratio, low, high = together(found).scale()
    assert low < truth < high < 2 * ratio
    # Half of the ratios of single measurements are below a third of the truth, or infinite.
    single = np.array([noise.scale()[0] for noise in found])
    assert ((single < truth / 3) | np.isinf(single)).mean() > 0.5


def test_a_gradient_that_is_lost_in_its_noise_has_no_upper_end():
    lost = GradientNoise(-0.1, 50.0, 1.0, 4.0, 0.0, 30)
    ratio, low, high = lost.scale()
    assert ratio == high == math.inf
    assert 0 < low < 50
    assert GradientNoise(1.0, 1.0, 0.01, 4.0, 0.0, 30).scale()[1:] == (0.0, math.inf)
    exact = GradientNoise(2.0, 50.0, 0.0, 0.0, 0.0, 30)
    assert exact.scale() == (25.0, 25.0, 25.0)
