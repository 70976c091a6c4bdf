"""Training and serving together: Sardana et al. 2024 (arXiv 2401.00448)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from scaling_jax.errors import InputError
from scaling_jax.laws import Demand, Rate, best_served, cheapest_served
from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.decisions.surface import Surface

# The printed examples follow from these constants; experiments/reproductions/sardana_inference.py
# lists the sources of the examples. E cancels out when the target is the loss of an optimum.
PUBLISHED = Surface.of("chinchilla", CHINCHILLA.published["de-vries-2023"])
DEAR_DECODE = Demand(3e11, 7e11, Rate(0.4), Rate(0.5), Rate(0.01, price=2.0))


def surface_through(alpha, beta, floor, params, tokens_per_param, reducible):
    """The law whose optimum of some budget is known: N, D and the reducible loss there."""
    share = beta / (alpha + beta)
    a = share * reducible * params**alpha
    b = (1 - share) * reducible * (params * tokens_per_param) ** beta
    return Surface.of("chinchilla", dict(E=floor, A=a, B=b, alpha=alpha, beta=beta))


surfaces = st.builds(
    surface_through,
    alpha=st.floats(0.1, 0.8),
    beta=st.floats(0.1, 0.8),
    floor=st.floats(0.0, 2.0),
    params=st.floats(1e6, 1e11),
    tokens_per_param=st.floats(1, 300),
    reducible=st.floats(0.05, 2.0),
)
flops = st.floats(1e15, 1e26)
served = st.floats(1e6, 1e15)


def training_flops(surface, params):
    """The budget whose optimum has so many params, at any law: N grows as C^a."""
    alpha, beta = surface.alpha_R[0], surface.beta_R[0]
    at_one = float(surface.training_optimum(1.0)[0][0])
    return (params / at_one) ** ((alpha + beta) / beta)


def cost_at_loss(surface, demand, loss, log_params):
    """The cost of a size that is trained until it reaches the loss, by the problem's own terms."""
    e, a, b, alpha, beta = surface.constants_RxP[0]
    params = np.exp(log_params)
    left = loss - e - a / params**alpha
    tokens = (b / left) ** (1 / beta) if left > 0 else np.inf
    return 6 * demand.training.per_flop * params * tokens + params * demand.cost_per_param


@pytest.mark.parametrize(
    ("quality", "tokens", "params", "saved"),
    [(7e9, 1e11, 6.0e9, None), (13e9, 2e12, 7.0e9, (0.17, 1.7e22))],
)
def test_published_examples(quality, tokens, params, saved):
    budget = training_flops(PUBLISHED, quality)
    optimum = cheapest_served(PUBLISHED, Demand(tokens), training_flops=budget)
    assert optimum.train_only_params.value == pytest.approx(quality)
    assert optimum.params.value == pytest.approx(params, rel=0.006)
    if saved is None:
        more_data = optimum.tokens.value / optimum.train_only_tokens.value
        assert more_data == pytest.approx(1.18, abs=0.005)
    else:
        saving = optimum.saving.value
        flops_saved = optimum.cost.value * saving / (1 - saving)
        assert saving == pytest.approx(saved[0], abs=0.005)
        assert flops_saved == pytest.approx(saved[1], abs=0.05e22)


@settings(deadline=None)
@given(surface=surfaces, budget=flops, tokens=served)
def test_first_order_condition_holds_at_the_wanted_loss(surface, budget, tokens):
    optimum = cheapest_served(surface, Demand(tokens), training_flops=budget)
    e, a, b, alpha, beta = surface.constants_RxP[0]
    from_size = a / optimum.params.value**alpha
    from_data = b / optimum.tokens.value**beta
    assert e + from_size + from_data == pytest.approx(optimum.loss.value, rel=1e-9)
    elasticities = alpha * from_size / (beta * from_data)
    assert elasticities == pytest.approx(1 + tokens / (3 * optimum.tokens.value), rel=1e-6)
    assert -1e-12 < optimum.saving.value < 1
    assert optimum.params.value <= optimum.train_only_params.value * (1 + 1e-9)


@settings(deadline=None, max_examples=30)
@given(surface=surfaces, budget=st.floats(1e18, 1e24), tokens=st.floats(1e9, 1e13))
def test_no_other_size_reaches_the_loss_for_less(surface, budget, tokens):
    demand = Demand(tokens / 3, 2 * tokens / 3, Rate(0.4), Rate(0.5), Rate(0.01, price=2.0))
    optimum = cheapest_served(surface, demand, training_flops=budget)
    e, a, _, alpha, _ = surface.constants_RxP[0]
    smallest = np.log(a / (optimum.loss.value - e)) / alpha
    found = minimize_scalar(
        lambda x: np.log(cost_at_loss(surface, demand, optimum.loss.value, x)),
        bounds=(smallest + 1e-9, np.log(optimum.train_only_params.value) + 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert np.log(optimum.cost.value) <= found.fun + 1e-9


@settings(deadline=None)
@given(surface=surfaces, budget=flops)
def test_without_serving_both_answers_are_the_compute_optimum(surface, budget):
    params, tokens = (float(x[0]) for x in surface.training_optimum(budget))
    for optimum in (
        cheapest_served(surface, Demand(), training_flops=budget),
        best_served(surface, Demand(), budget=budget),
    ):
        assert optimum.params.value == pytest.approx(params, rel=1e-7)
        assert optimum.tokens.value == pytest.approx(tokens, rel=1e-7)
        assert optimum.saving.value == pytest.approx(0, abs=1e-9)
        assert optimum.serving_share.value == 0


def test_a_little_serving_moves_the_optimum_a_little():
    params = float(PUBLISHED.training_optimum(1e22)[0][0])
    shifts = [
        best_served(PUBLISHED, Demand(tokens), budget=1e22).params.value / params - 1
        for tokens in (1e6, 1e7, 1e8)
    ]
    # To first order the optimum moves in proportion to what is served.
    assert shifts[0] < 0
    assert shifts[1] / shifts[0] == pytest.approx(10, rel=0.01)
    assert shifts[2] / shifts[1] == pytest.approx(10, rel=0.01)


@settings(deadline=None)
@given(surface=surfaces, budget=flops, tokens=served)
def test_least_cost_of_a_loss_and_least_loss_of_a_cost_are_one_model(surface, budget, tokens):
    demand = Demand(tokens / 4, 3 * tokens / 4, Rate(0.5), Rate(0.6), Rate(0.02))
    cheapest = cheapest_served(surface, demand, training_flops=budget)
    best = best_served(surface, demand, budget=cheapest.cost.value)
    assert best.loss.value == pytest.approx(cheapest.loss.value, rel=1e-9)
    assert best.cost.value == pytest.approx(cheapest.cost.value, rel=1e-9)
    assert best.params.value == pytest.approx(cheapest.params.value, rel=1e-5)
    assert best.tokens.value == pytest.approx(cheapest.tokens.value, rel=1e-5)


def test_unlimited_serving_ends_at_the_smallest_size_of_the_loss():
    e, a, _, alpha, _ = PUBLISHED.constants_RxP[0]
    optimum = cheapest_served(PUBLISHED, Demand(1e40), loss=2.0)
    assert optimum.params.value == pytest.approx((a / (2.0 - e)) ** (1 / alpha), rel=1e-3)
    assert optimum.params.value > (a / (2.0 - e)) ** (1 / alpha)
    assert optimum.serving_share.value == pytest.approx(1, abs=1e-3)


def test_the_unit_of_prices_does_not_matter():
    dear = Demand(3e11, 7e11, Rate(0.4, 5.0), Rate(0.5, 5.0), Rate(0.01, price=10.0))
    one, five = (cheapest_served(PUBLISHED, d, loss=2.0) for d in (DEAR_DECODE, dear))
    assert five.cost.value == pytest.approx(5 * one.cost.value)
    assert five.params.value == pytest.approx(one.params.value)
    assert five.saving.value == pytest.approx(one.saving.value)


def test_a_phase_of_low_utilization_asks_for_a_smaller_model():
    cheap = cheapest_served(PUBLISHED, Demand(1e12), loss=2.0)
    dear = cheapest_served(PUBLISHED, Demand(0, 1e12, decode=Rate(0.01)), loss=2.0)
    hundredfold = cheapest_served(PUBLISHED, Demand(1e14), loss=2.0)
    assert dear.params.value < cheap.params.value
    assert dear.params.value == pytest.approx(hundredfold.params.value)


def test_intervals_are_those_of_the_draws():
    rng = np.random.default_rng(0)
    spread = np.exp(0.01 * rng.normal(size=(400, 5)))
    rows = np.concatenate([PUBLISHED.constants_RxP, PUBLISHED.constants_RxP * spread])
    surface = Surface(CHINCHILLA, rows, level=0.8)
    optimum = cheapest_served(surface, Demand(1e12), loss=2.0)
    alone = [
        cheapest_served(Surface(CHINCHILLA, row[None], 0.8), Demand(1e12), loss=2.0).params.value
        for row in rows[1:]
    ]
    low, high = optimum.params.interval
    assert low < optimum.params.value < high
    assert np.mean([low <= value <= high for value in alone]) == pytest.approx(0.8, abs=0.01)
    assert cheapest_served(PUBLISHED, Demand(1e12), loss=2.0).params.interval is None


def test_draws_that_never_reach_the_loss_leave_the_interval_open():
    above = PUBLISHED.constants_RxP * [1.3, 1, 1, 1, 1]
    rows = np.concatenate([PUBLISHED.constants_RxP, above, PUBLISHED.constants_RxP])
    low, high = cheapest_served(
        Surface(CHINCHILLA, rows, 0.9), Demand(1e12), loss=2.0
    ).cost.interval
    assert np.isfinite(low)
    assert high == np.inf


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: cheapest_served(PUBLISHED, Demand(1e9), loss=1.62), ["1.62", "floor", "higher"]),
        (lambda: cheapest_served(PUBLISHED, Demand(1e9), loss=-1), ["-1", "positive"]),
        (lambda: cheapest_served(PUBLISHED, Demand(1e9)), ["exactly one"]),
        (lambda: cheapest_served(PUBLISHED, Demand(1e9), loss=2, training_flops=1), ["exactly"]),
        (lambda: cheapest_served(PUBLISHED, Demand(1e9), training_flops=0), ["training_flops 0"]),
        (lambda: best_served(PUBLISHED, Demand(1e9), budget=np.nan), ["nan", "positive"]),
        (lambda: Demand(-1.0), ["prefill", "-1"]),
        (lambda: Demand(0, np.inf), ["decode", "inf"]),
        (lambda: Rate(1.5), ["1.5", "at most at 1"]),
        (lambda: Rate(0.5, 0), ["price", "0"]),
    ],
)
def test_what_cannot_be_answered_is_refused(ask, words):
    with pytest.raises(InputError) as caught:
        ask()
    for word in words:
        assert word in str(caught.value)
