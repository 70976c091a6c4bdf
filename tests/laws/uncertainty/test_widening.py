"""Draws with the error of the form: as wide as that error, never narrower than without it."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax import laws
from scaling_jax.laws.allocation import Interval, interval
from scaling_jax.laws.form_error import FormError
from scaling_jax.laws.members import Member
from scaling_jax.laws.uncertainty.widening import Beyond, combined, parts_of, scatter_of, wider

LEVELS = (0.1, 0.5, 0.8, 0.9, 0.99)


@settings(deadline=None, max_examples=60)
@given(
    noise=st.floats(1e-6, 1.0),
    skew=st.floats(-2.0, 2.0),
    deviation=st.floats(0.0, 1.0),
    freedom=st.sampled_from([3.0, 6.0, math.inf]),
    off=st.floats(0.5, 2.0),
    is_average=st.booleans(),
    lost=st.integers(0, 12),
)
def test_every_interval_of_the_draws_lies_inside_that_with_the_error(
    noise: float,
    skew: float,
    deviation: float,
    freedom: float,
    off: float,
    is_average: bool,
    lost: int,
) -> None:
    z_B = np.random.default_rng(3).standard_normal(201)
    draws_B = 2.0 * np.exp(noise * (z_B + skew * z_B**2 / 2))
    draws_B[:lost] = np.nan
    wider_B = wider(draws_B, deviation, freedom, 2.0 * off if is_average else None)
    for level in LEVELS:
        (low, high), (inner, outer) = interval(wider_B, level), interval(draws_B, level)
        assert low <= inner
        assert high >= outer


def test_an_error_above_the_noise_is_the_scatter() -> None:
    draws_B = np.exp(np.random.default_rng(0).normal(0, 0.002, 4000))
    for centre in (None, 1.0):
        found = scatter_of(wider(draws_B, 0.02, math.inf, centre))
        assert found == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("deviation", [0.0, 0.005, 0.03])
def test_the_parts_add_up_to_the_scatter_with_the_error(deviation: float) -> None:
    draws_B = np.exp(np.random.default_rng(0).normal(0, 0.01, 4000))
    parts = parts_of(draws_B, Beyond(deviation, 0.006, 1.0), 0.25)
    whole = max(combined(deviation, 0.006, 0.25), scatter_of(draws_B))
    assert math.hypot(*parts.values()) == pytest.approx(whole)
    assert parts["noise"] == pytest.approx(scatter_of(draws_B))


@pytest.fixture(scope="module")
def fitted() -> laws.LawFit:
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 3e10, 5)))
    loss = 1.7 + 400 / n**0.34 + 410 / d**0.28
    noise = np.exp(0.01 * np.random.default_rng(1).standard_normal(len(n)))
    table = pd.DataFrame({"params": n, "tokens": d, "loss": loss * noise})
    fit = laws.fit(table, bootstrap=100)
    assert isinstance(fit, laws.LawFit)
    return fit


@pytest.mark.parametrize("is_average", [False, True])
@pytest.mark.parametrize("rate", [1e-6, 1e-3, 0.05])
def test_no_answer_of_a_fit_is_narrower_than_by_resampling(
    fitted: laws.LawFit, is_average: bool, rate: float
) -> None:
    error = FormError(rate, rate, (1e18, 5e17, 2e17), freedom=8.0, between=0.25)
    constants = tuple(fitted.params.values())
    # The centre of an average need not be that of its resamples.
    other = tuple(fitted.params[n] * (1.02 if n == "E" else 1.0) for n in fitted.params)
    members = tuple(
        Member("chinchilla", None, w, 0.001, 0.5, c) for w, c in enumerate((constants, other))
    )
    plain = dataclasses.replace(fitted, form_error=None)
    wide = dataclasses.replace(fitted, form_error=error, members=members if is_average else ())
    for level in (0.5, 0.9):
        for ratio in (1, 10, 300):
            at = {"params": 1e9 * ratio**0.5, "tokens": 3e10 * ratio**0.5}
            made = dataclasses.replace(wide, level=level).predict(**at)
            bare = dataclasses.replace(plain, level=level).predict(**at)
            assert made.resampling_interval == bare.interval
            assert inside(bare.interval, made.interval)
            assert inside(bare.law_interval, made.law_interval)
            flops = ratio * fitted.flops_range[1]
            best = dataclasses.replace(wide, level=level).optimal(flops)
            by_draws = dataclasses.replace(plain, level=level).optimal(flops)
            for name in ("params_interval", "tokens_interval", "loss_interval"):
                assert inside(getattr(by_draws, name), getattr(best, name))


def test_an_average_is_as_wide_as_its_cutoffs_show_where_they_reach_the_run(
    fitted: laws.LawFit,
) -> None:
    constants = tuple(fitted.params.values())
    members = (Member("chinchilla", None, 1.0, 0.001, 0.5, constants),)
    noise = dataclasses.replace(fitted, form_error=None, noise_N=None)
    at = {"params": 1e10, "tokens": 3e11}
    widths = []
    for reach in (1.0, 3.0, 30.0, 100.0, 1e4):
        error = FormError(1e-4, 1e-3, (1e18,), freedom=8.0, between=0.25, reach=reach)
        wide = dataclasses.replace(noise, form_error=error, members=members)
        made, law = wide.predict(**at), wide.predict(**at).law_interval
        assert law is not None
        widths.append(math.log(law[1] / law[0]))
        assert made.parts["noise"] <= scatter_of(noise.drawn(**at)) + 1e-12
    assert widths == sorted(widths, reverse=True)
    by_draws = noise.predict(**at).law_interval
    assert by_draws is not None
    assert widths[0] >= math.log(by_draws[1] / by_draws[0])
    assert widths[-1] < widths[0] / 2
    # There the interval is that of the errors alone, and follows them.
    doubled = dataclasses.replace(error, loss_rate=2e-4)
    law = dataclasses.replace(wide, form_error=doubled).predict(**at).law_interval
    assert law is not None
    assert math.log(law[1] / law[0]) == pytest.approx(2 * widths[-1], rel=0.01)


def inside(inner: Interval | None, outer: Interval | None) -> bool:
    assert inner is not None
    assert outer is not None
    # Tokens are computed back from compute and params, with rounding.
    rounding = 1e-12
    return outer[0] <= inner[0] * (1 + rounding) and inner[1] <= outer[1] * (1 + rounding)
