"""The sizes along the envelope, against curves that follow Kaplan's law exactly."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.approaches.kaplan_stopping import sizes_along
from scaling_jax.laws.frontier_points import FrontierPoints

pytestmark = pytest.mark.usefixtures("unoptimized")

# Kaplan et al. 2020, Table 3, at batches of 2**19 tokens.
ALPHA_N, ALPHA_S, N_C, TOKENS_C = 0.077, 0.76, 6.5e13, 2.1e3 * 2**19
SIZES = np.geomspace(1e6, 3e8, 7)


def loss(params, tokens):
    return (N_C / params) ** ALPHA_N + (TOKENS_C / tokens) ** ALPHA_S


def stopped_at(params):
    """Tokens at which a run is 1 + alpha_N / alpha_S times its converged loss."""
    above = ALPHA_N / ALPHA_S * (N_C / params) ** ALPHA_N
    return TOKENS_C / above ** (1 / ALPHA_S)


def run(params, last):
    tokens = np.geomspace(1e-3 * last, last, 4000)
    return {"flops": 6 * params * tokens, "tokens": tokens, "loss": loss(params, tokens)}


def envelope(runs):
    """The lowest of all runs on a grid of FLOPs."""
    flops = np.geomspace(1e15, 1e20, 400)
    ends = dict(left=np.inf, right=np.inf)
    table = np.array([np.interp(flops, r["flops"], r["loss"], **ends) for r in runs])
    lowest = table.argmin(axis=0)
    params = SIZES[lowest]
    return FrontierPoints(flops, params, flops / 6 / params, table.min(axis=0))


@pytest.fixture(scope="module")
def stopped():
    runs = [run(n, 20 * stopped_at(n)) for n in SIZES]
    return sizes_along(runs, SIZES, envelope(runs))


def test_each_size_stops_where_the_law_says(stopped):
    sizes, _ = stopped
    assert [size.params for size in sizes] == pytest.approx(SIZES)
    for size in sizes:
        converged = (N_C / size.params) ** ALPHA_N
        assert size.stop.converged == pytest.approx(converged, rel=1e-4)
        assert size.stop.loss == pytest.approx((1 + ALPHA_N / ALPHA_S) * converged, rel=1e-4)
        assert size.stop.tokens == pytest.approx(stopped_at(size.params), rel=0.01)
        assert size.stop.flops == pytest.approx(6 * size.params * size.stop.tokens)


def test_the_envelope_has_a_size_about_where_it_stops(stopped):
    sizes, _ = stopped
    for size in sizes[1:-1]:
        low, high = size.span.flops
        assert low < size.stop.flops < high
        (most, least), (first, last) = size.span.loss, size.span.tokens
        assert most > size.stop.loss > least
        assert first < size.stop.tokens < last
    ends = [size.span.flops for size in sizes]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


def test_the_rule_is_reported_with_its_numbers(stopped):
    _, (sentence,) = stopped
    assert "stop 10.1 % above" in sentence
    assert "C^0.908" in sentence


def test_a_size_that_is_not_trained_so_far_is_not_stopped():
    runs = [run(n, (0.5 if n == SIZES[0] else 20) * stopped_at(n)) for n in SIZES]
    sizes, _ = sizes_along(runs, SIZES, envelope(runs))
    assert (sizes[0].stop.flops, sizes[0].stop.tokens) == (None, None)
    assert sizes[1].stop.flops is not None


def test_two_sizes_have_spans_but_no_law():
    runs = [run(n, 20 * stopped_at(n)) for n in SIZES]
    sizes, notes = sizes_along(runs[:2], SIZES[:2], envelope(runs))
    assert notes == ()
    assert sizes[0].span is not None
    assert sizes[0].stop is None


def test_a_fit_of_the_envelope_keeps_them():
    rows = []
    for n in SIZES:
        curve = pd.DataFrame(run(n, 2 * stopped_at(n))).iloc[::20]
        rows.append(curve.assign(params=n, run_id=f"{n:.0f}"))
    table = pd.concat(rows)
    fit = laws.fit(table.drop_duplicates("run_id"), approach=1, training_curves=table, bootstrap=0)
    assert len(fit.sizes) == len(SIZES)
    assert laws.Fit.from_json(fit.to_json()).sizes == fit.sizes
