"""Badly tuned sizes stand out above the law of the others, and noise alone does not."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.laws.catalogue import CHINCHILLA
from scaling_jax.laws.extrapolation.suspect_sizes import suspect_sizes
from scaling_jax.laws.solver.optimum import optimum
from scaling_jax.laws.tables.select import usable_rows

TRUTH = np.array([1.7, 400.0, 410.0, 0.34, 0.28])
SIZES = np.geomspace(1e7, 2e9, 7)


def found(seed=0, noise=0.003, raised=(), outlier=None):
    params, tokens = np.repeat(SIZES, 5), np.tile(np.geomspace(3e8, 3e10, 5), len(SIZES))
    loss = CHINCHILLA.value(TRUTH, {"params": params, "tokens": tokens})
    loss = loss * np.exp(noise * np.random.default_rng(seed).normal(size=len(loss)))
    for size, share in raised:
        loss = loss * (1 + share * (params == SIZES[size]))
    if outlier is not None:
        loss[outlier] *= 1.3
    rows = usable_rows(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss}))
    constants_P = optimum(CHINCHILLA, rows.variables, rows.loss).constants_P
    return [(size.params, size.above) for size in suspect_sizes(rows, CHINCHILLA, constants_P)]


def test_noise_alone_raises_an_alarm_in_at_most_one_table_of_twenty():
    assert sum(bool(found(seed)) for seed in range(40)) <= 2


@pytest.mark.parametrize("size", range(len(SIZES)))
def test_a_size_that_is_3_per_cent_too_high_is_found_alone(size):
    named = [[params for params, _ in found(seed, raised=[(size, 0.03)])] for seed in range(5)]
    assert sum(each == [pytest.approx(SIZES[size])] for each in named) >= 4


def test_several_sizes_are_named_smallest_first_with_their_excess():
    sizes = found(noise=0.001, raised=[(1, 0.03), (4, 0.05)])
    assert [params for params, _ in sizes] == pytest.approx(SIZES[[1, 4]])
    assert [above for _, above in sizes] == pytest.approx([0.03, 0.05], abs=0.01)


def test_a_size_that_is_too_low_and_a_single_outlier_are_no_alarm():
    assert found(raised=[(2, -0.03)]) == []
    assert found(outlier=12) == []
    assert found(noise=0.0) == []


def test_few_sizes_show_no_law():
    params, tokens = np.repeat(SIZES[:4], 5), np.tile(np.geomspace(3e8, 3e10, 5), 4)
    loss = CHINCHILLA.value(TRUTH, {"params": params, "tokens": tokens}) * np.where(
        params == SIZES[0], 1.1, 1
    )
    rows = usable_rows(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss}))
    assert suspect_sizes(rows, CHINCHILLA, TRUTH) == ()
