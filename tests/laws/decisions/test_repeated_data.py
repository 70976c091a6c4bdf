"""Repeated data: Muennighoff et al. 2023 (arXiv 2305.16264)."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_jax.errors import InputError
from scaling_jax.laws import Decay, repeated_loss, repeated_optimum
from scaling_jax.laws.catalogue import CHINCHILLA, CHINCHILLA_TIED
from scaling_jax.laws.decisions.repeated_data import effective_ratio
from scaling_jax.laws.decisions.surface import Surface

# Their base law, alpha = beta, at the precision of the released notebook.
BASE = CHINCHILLA_TIED.published["muennighoff-2023-c4"]
TIED = Surface.of("chinchilla-tied", BASE)
UNTIED = Surface.of("chinchilla", CHINCHILLA.published["muennighoff-2023-c4"])
UNLIMITED = Decay(math.inf, math.inf)
decays = st.builds(Decay, st.floats(0.1, 1e4), st.floats(0.1, 1e4))


def law_by_hand(params, tokens, unique, tokens_decay, params_decay):
    """Loss of the tied law, its equations written out as in the paper."""
    alpha, a, b = BASE["alpha"], BASE["A"], BASE["B"]
    unique = min(unique, tokens)
    repeats = tokens / unique - 1
    effective_tokens = unique + unique * tokens_decay * (1 - math.exp(-repeats / tokens_decay))
    g = (a / b) ** (1 / (2 * alpha))
    supported = min(g * (g * unique), params)
    surplus = max(params / supported - 1, 0)
    effective_params = supported + supported * params_decay * (
        1 - math.exp(-surplus / params_decay)
    )
    return BASE["E"] + a / effective_params**alpha + b / effective_tokens**alpha


@pytest.mark.parametrize(
    ("params", "tokens", "unique"),
    [
        (1e8, 1e10, 1e9),
        (4.2e9, 84e9, 12e9),
        (8.7e9, 178e9, 25e9),
        (1e9, 1e10, 1e12),
        (1e9, 1e7, 1e6),
    ],
)
def test_loss_is_the_papers_formula(params, tokens, unique):
    found = repeated_loss(TIED, params=params, tokens=tokens, unique_tokens=unique)
    by_hand = law_by_hand(params, tokens, unique, 15.387756, 5.309743)
    assert found.value == pytest.approx(by_hand, rel=1e-12)


def test_a_repeat_is_worth_a_fresh_token_at_first_and_nothing_in_the_end():
    constant = 15.387756
    assert float(effective_ratio(1.0, constant)) == 1
    assert float(effective_ratio(0.25, constant)) == 0.25
    slope = float(effective_ratio(1 + 1e-6, constant) - 1) / 1e-6
    assert slope == pytest.approx(1, rel=1e-6)
    here = 1 + constant
    slope = float(effective_ratio(here + 1e-4, constant) - effective_ratio(here, constant)) / 1e-4
    assert slope == pytest.approx(math.exp(-1), rel=1e-4)
    assert float(effective_ratio(1e6, constant)) == pytest.approx(1 + constant)


@settings(deadline=None, max_examples=60)
@given(
    flops=st.floats(1e17, 1e25),
    shortage=st.floats(0.05, 300),
    decay=decays,
    surface=st.sampled_from([TIED, UNTIED]),
)
def test_no_other_size_of_the_budget_is_better(flops, shortage, decay, surface):
    unique = float(surface.training_optimum(flops)[1][0]) / shortage
    best = repeated_optimum(surface, flops=flops, unique_tokens=unique, decay=decay)
    assert best.params.value * best.tokens.value * 6 == pytest.approx(flops, rel=1e-9)
    for ratio in np.geomspace(0.03, 30, 41):
        params = best.params.value * ratio
        other = repeated_loss(
            surface,
            params=params,
            tokens=flops / 6 / params,
            unique_tokens=unique,
            decay=decay,
        )
        assert other.value >= best.loss.value - 1e-12


@settings(deadline=None)
@given(flops=st.floats(1e17, 1e25), spare=st.floats(1.001, 1e4), decay=decays)
def test_a_stock_that_suffices_changes_nothing(flops, spare, decay):
    params, tokens = (float(x[0]) for x in UNTIED.training_optimum(flops))
    best = repeated_optimum(UNTIED, flops=flops, unique_tokens=tokens * spare, decay=decay)
    assert best.params.value == pytest.approx(params, rel=1e-9)
    assert best.epochs.value == pytest.approx(1 / spare, rel=1e-9)
    assert best.loss.value == pytest.approx(best.unlimited_loss.value, rel=1e-12)


@settings(deadline=None)
@given(flops=st.floats(1e17, 1e25), shortage=st.floats(1.001, 300))
def test_repeats_as_good_as_fresh_tokens_change_nothing(flops, shortage):
    params, tokens = (float(x[0]) for x in UNTIED.training_optimum(flops))
    best = repeated_optimum(UNTIED, flops=flops, unique_tokens=tokens / shortage, decay=UNLIMITED)
    assert best.params.value == pytest.approx(params, rel=1e-6)
    assert best.effective_tokens.value == pytest.approx(tokens, rel=1e-6)
    assert best.loss.value == pytest.approx(best.unlimited_loss.value, rel=1e-9)


@settings(deadline=None)
@given(shortage=st.floats(1.01, 1e4), constant=st.floats(0.5, 100))
def test_where_size_and_data_are_alike_they_share_the_surplus(shortage, constant):
    """With alpha = beta and R_D* = R_N*, epochs and N over the supported N are the same."""
    flops = 1e21
    unique = float(TIED.training_optimum(flops)[1][0]) / shortage
    best = repeated_optimum(
        TIED, flops=flops, unique_tokens=unique, decay=Decay(constant, constant)
    )
    assert best.epochs.value == pytest.approx(shortage, rel=1e-9)


def test_published_constants_buy_epochs_before_parameters():
    """R_D* > R_N* puts the larger part of surplus compute into epochs (section 5)."""
    flops, unique = 9.2e21, 25e9
    best = repeated_optimum(TIED, flops=flops, unique_tokens=unique)
    free_params, free_tokens = (float(x[0]) for x in TIED.training_optimum(flops))
    assert best.params.value < free_params
    assert best.tokens.value > free_tokens
    # Figure 1, quoted second-hand: 6.34B parameters for 9.7 epochs. The minimum is so flat that
    # the loss there is the same to four digits.
    printed = repeated_loss(TIED, params=6.34e9, tokens=flops / 6 / 6.34e9, unique_tokens=unique)
    assert printed.value == pytest.approx(best.loss.value, rel=2e-4)
    assert best.params.value == pytest.approx(6.34e9, rel=0.08)


def test_more_unique_tokens_never_hurt():
    losses = [
        repeated_optimum(UNTIED, flops=1e22, unique_tokens=unique).loss.value
        for unique in np.geomspace(1e8, 1e13, 30)
    ]
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[0] > losses[-1] + 0.1


def test_intervals_come_from_the_draws():
    rng = np.random.default_rng(0)
    spread = np.exp(0.01 * rng.normal(size=(300, 5)))
    rows = np.concatenate([UNTIED.constants_RxP, UNTIED.constants_RxP * spread])
    surface = Surface(UNTIED.form, rows, 0.9)
    best = repeated_optimum(surface, flops=1e22, unique_tokens=2e10)
    for estimate in (best.params, best.epochs, best.loss):
        low, high = estimate.interval
        assert low < estimate.value < high
    alone = repeated_optimum(UNTIED, flops=1e22, unique_tokens=2e10)
    assert alone.epochs.value == best.epochs.value
    assert alone.epochs.interval is None


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: repeated_optimum(TIED, flops=0, unique_tokens=1e9), ["flops 0"]),
        (lambda: repeated_optimum(TIED, flops=1e20, unique_tokens=-1), ["unique_tokens -1"]),
        (lambda: Decay(tokens=0), ["R_D* 0", "positive"]),
        (lambda: Decay(params=math.nan), ["R_N* nan"]),
        (
            lambda: repeated_loss(TIED, params=1e9, tokens=math.inf, unique_tokens=1e9),
            ["tokens inf"],
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(ask, words):
    with pytest.raises(InputError) as caught:
        ask()
    for word in words:
        assert word in str(caught.value)
