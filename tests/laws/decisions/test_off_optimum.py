"""Models off the optimal size, and training short of convergence."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaplan_stopping_rule import (
    compute_exponent,
    efficient_excess,
    stopping_ratios,
)

from scaling_jax.errors import InputError
from scaling_jax.laws import size_deviation, size_range
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.decisions.off_optimum import (
    sizes_within,
    smallest_ratio,
    tokens_ratio,
)
from scaling_jax.laws.decisions.surface import Surface, increasing_root

# Kaplan et al. 2020, table 3.
ALPHA_N, ALPHA_S = 0.077, 0.76
HARM = Surface.of("chinchilla", CHINCHILLA.published["de-vries-2023"])
exponents = st.floats(0.05, 1.0)


@pytest.mark.parametrize(
    ("size_ratio", "percent"), [(0.57, 12), (0.5, 20), (0.3, 100), (0.25, 188)]
)
def test_compute_overheads_as_printed_by_de_vries(size_ratio, percent):
    """harmdevries.com/post/model-size-vs-compute-overhead and its announcement, 2023."""
    overhead = 100 * (size_deviation(HARM, size_ratio).compute_ratio.value - 1)
    # "20 %" and "100 %" are 20.8 and 105.6.
    assert overhead == pytest.approx(percent, rel=0.06)


def test_kaplans_printed_costs():
    """Appendix B: 0.6 to 2.2 times the optimal size costs at most 20 % more compute."""
    assert 0.6 * tokens_ratio(0.6, ALPHA_N, ALPHA_S) < 1.2
    assert 2.2 * tokens_ratio(2.2, ALPHA_N, ALPHA_S) == pytest.approx(1.2, abs=0.005)
    assert 1 - tokens_ratio(2.2, ALPHA_N, ALPHA_S) == pytest.approx(0.45, abs=0.005)
    low, high = sizes_within(0.2, ALPHA_N, ALPHA_S)
    assert float(low) == pytest.approx(0.6, abs=0.05)
    assert float(high) == pytest.approx(2.2, abs=0.05)


def test_kaplans_printed_comparison_with_training_to_convergence():
    excess = efficient_excess(ALPHA_N, ALPHA_S)
    assert excess == pytest.approx(0.10, abs=0.005)
    found = stopping_ratios(excess, 0.02, size_exponent=ALPHA_N, steps_exponent=ALPHA_S)
    assert found.size == pytest.approx(2.7, abs=0.05)
    assert 1 / found.steps == pytest.approx(7.7, abs=0.1)
    assert 1 - found.compute == pytest.approx(0.65, abs=0.005)


@settings(deadline=None)
@given(f=st.floats(0.01, 1), g=st.floats(0.01, 1), alpha_n=exponents, alpha_s=exponents)
def test_stopping_ratios_solve_the_law(f, g, alpha_n, alpha_s):
    """Two (N, S) of L = N^-alpha_N + S^-alpha_S = 1, in units of N_c and S_c."""
    size, steps = [], []
    for excess in (f, g):
        size.append((1 / (1 + excess)) ** (-1 / alpha_n))
        steps.append((1 - size[-1] ** -alpha_n) ** (-1 / alpha_s))
    found = stopping_ratios(f, g, size_exponent=alpha_n, steps_exponent=alpha_s)
    assert found.size == pytest.approx(size[0] / size[1], rel=1e-6)
    assert found.steps == pytest.approx(steps[0] / steps[1], rel=1e-6)
    assert found.compute == pytest.approx(found.size * found.steps)


def test_exponent_of_compute():
    assert compute_exponent(0.076, 0.76, 0.21) == pytest.approx(0.052, abs=5e-4)
    assert compute_exponent(1, 1, 1) == pytest.approx(1 / 3)


@settings(deadline=None)
@given(
    alpha=exponents, beta=exponents, position=st.floats(0.01, 0.99), budget=st.floats(1e18, 1e25)
)
def test_ratios_keep_the_loss(alpha, beta, position, budget):
    surface = Surface.of("chinchilla", dict(E=1.5, A=300.0, B=500.0, alpha=alpha, beta=beta))
    ratio = float(smallest_ratio(alpha, beta)) ** (2 * position - 1)
    params, tokens = surface.training_optimum(budget)
    more = tokens_ratio(ratio, alpha, beta)
    np.testing.assert_allclose(
        surface.loss(params * ratio, tokens * more), surface.loss(params, tokens), rtol=1e-9
    )
    assert ratio * float(tokens_ratio(ratio, alpha, beta)) >= 1 - 1e-12


@settings(deadline=None)
@given(alpha=exponents, beta=exponents, extra=st.floats(1e-4, 3))
def test_the_ends_of_a_range_cost_what_is_allowed(alpha, beta, extra):
    low, high = sizes_within(extra, alpha, beta)
    assert float(smallest_ratio(alpha, beta)) < low < 1 < high
    for end in (low, high):
        assert end * float(tokens_ratio(end, alpha, beta)) == pytest.approx(1 + extra, rel=1e-6)


@settings(deadline=None)
@given(alpha=exponents, beta=exponents)
def test_small_deviations_cost_their_square(alpha, beta):
    """Compute is least at the optimum, with second derivative alpha + beta in log size."""
    extra = 1e-8
    expected = math.sqrt(2 * extra / (alpha + beta))
    low, high = sizes_within(extra, alpha, beta)
    assert -math.log(low) == pytest.approx(expected, rel=1e-3)
    assert math.log(high) == pytest.approx(expected, rel=1e-3)


@settings(deadline=None)
@given(alpha=exponents, beta=exponents)
def test_below_the_smallest_size_no_data_suffice(alpha, beta):
    least = float(smallest_ratio(alpha, beta))
    assert float(tokens_ratio(least * (1 - 1e-9), alpha, beta)) == np.inf
    assert np.isfinite(tokens_ratio(least * (1 + 1e-6), alpha, beta))


def test_roots_are_exact_and_what_is_no_number_stays_none():
    targets = np.array([1e-12, 0.3, 7.0, np.nan])
    roots = increasing_root(lambda x: x**3 - targets**3, np.zeros(4), np.full(4, 10.0))
    np.testing.assert_allclose(roots, targets, rtol=1e-5)
    np.testing.assert_allclose(roots[1:], targets[1:], rtol=1e-15)


def test_a_fits_range_has_intervals():
    rng = np.random.default_rng(0)
    spread = np.exp(0.02 * rng.normal(size=(300, 5)))
    rows = np.concatenate([HARM.constants_RxP, HARM.constants_RxP * spread])
    surface = Surface(HARM.form, rows, 0.9)
    found = size_range(surface, 0.1)
    for estimate in (found.smallest, found.largest, found.smallest_tokens, found.largest_tokens):
        low, high = estimate.interval
        assert low < estimate.value < high
    assert found.smallest_tokens.value > 1 > found.largest_tokens.value
    assert found.smallest.value * found.smallest_tokens.value == pytest.approx(1.1)
    assert size_range(HARM, 0.1).smallest.interval is None


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: size_deviation(HARM, 0.05), ["0.05", "0.0974", "larger"]),
        (lambda: size_deviation(HARM, -1), ["size_ratio -1"]),
        (lambda: size_range(HARM, 0), ["extra 0", "positive"]),
        (
            lambda: stopping_ratios(0.1, 0, size_exponent=0.1, steps_exponent=0.7),
            ["other_excess 0"],
        ),
        (lambda: efficient_excess(0.1, math.inf), ["steps_exponent inf"]),
        (lambda: compute_exponent(0.1, 0.1, 0), ["batch_exponent 0"]),
    ],
)
def test_what_cannot_be_answered_is_refused(ask, words):
    with pytest.raises(InputError) as caught:
        ask()
    for word in words:
        assert word in str(caught.value)
