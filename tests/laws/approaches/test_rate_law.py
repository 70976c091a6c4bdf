"""The law of the best learning rate is recovered from a sweep, with intervals that hold it."""

import math

import numpy as np
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.rate_law import VARIABLES, fit_rate_law
from scaling_jax.laws.approaches.sweep_optimum import Trial, edge_of, sweep_optima

TRUTH = {"params": -0.4, "tokens": -0.3, "batch_size": 0.5}
CELLS = (
    (6e3, 3e5, 8),
    (6e3, 2e6, 8),
    (4e4, 3e5, 8),
    (2e4, 1e6, 8),
    (6e3, 2e6, 4),
    (6e3, 2e6, 16),
)
TOP = {"params": 1e5, "tokens": 8e6, "batch_size": 8}


def best_rate(at):
    sizes = dict(zip(VARIABLES, at, strict=True)) if isinstance(at, tuple) else at
    return 0.02 * math.prod(sizes[name] ** TRUTH[name] for name in VARIABLES) * 5e3


def swept(noise, rng, cells=CELLS, seeds=(0,)):
    """A sweep whose rates are centred within a factor of 1.3 of the best."""
    trials = {}
    for cell in cells:
        rates = best_rate(cell) * rng.uniform(0.8, 1.3) * 1.7 ** np.arange(-2, 3)
        offsets = rng.normal(0, 0.01, len(seeds))
        trials[cell] = [
            Trial(rate, 2 * math.exp(0.02 * math.log(rate / best_rate(cell)) ** 2 + e), seed)
            for seed, offset in zip(seeds, offsets, strict=True)
            for rate in rates
            for e in [offset + rng.normal(0, noise)]
        ]
    return trials


def law_of(trials, **options):
    optima = sweep_optima(trials)
    found = [(dict(zip(VARIABLES, cell, strict=True)), o) for cell, o in optima.cells.items()]
    return fit_rate_law(found, optima.freedom, **options)


def test_the_exponents_of_a_law_are_recovered_from_sweeps_without_noise():
    law = law_of(swept(1e-7, np.random.default_rng(0)))
    assert law.exponents == pytest.approx(TRUTH, abs=1e-4)
    assert law.rate(TOP) == pytest.approx(best_rate(TOP), rel=1e-3)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng, inside, n = np.random.default_rng(1), dict.fromkeys((*VARIABLES, "top"), 0), 0
    for _ in range(80):
        try:
            law = law_of(swept(0.002, rng))
        except InputError:  # Noise put a best rate at an end.
            continue
        n += 1
        for name in VARIABLES:
            low, high = law.intervals[name]
            inside[name] += low <= TRUTH[name] <= high
        low, high = law.interval(TOP)
        inside["top"] += low <= best_rate(TOP) <= high
    assert n > 60
    # The least of binomial counts at 0.9 less three standard errors.
    assert min(inside.values()) / n > 0.9 - 3 * math.sqrt(0.09 / n)


def test_seeds_that_shift_all_losses_of_a_cell_do_not_count_as_noise_of_its_rates():
    optima = sweep_optima(swept(0.001, np.random.default_rng(2), seeds=(0, 1, 2)))
    assert optima.noise == pytest.approx(0.001, rel=0.3)
    assert optima.freedom == len(CELLS) * (15 - 5)


def test_an_exponent_that_was_not_swept_is_the_one_assumed():
    trials = swept(1e-4, np.random.default_rng(3), CELLS[:4])
    law = law_of(trials, assumed={"batch_size": 0.5})
    assert law.assumed == ("batch_size",)
    assert set(law.intervals) == {"params", "tokens"}
    assert law.rate(TOP | {"batch_size": 32}) == pytest.approx(2 * law.rate(TOP))


def test_a_sweep_that_cannot_tell_is_refused():
    trials = swept(1e-4, np.random.default_rng(4))
    edge = {"small": [Trial(rate, 3 - rate) for rate in (0.1, 0.2, 0.3)]}
    assert edge_of(edge["small"]) == "largest"
    with pytest.raises(
        InputError, match=r"small are lowest at the largest .* 0.3, .*sweep further"
    ):
        sweep_optima(edge)
    diverged = [*edge["small"][:2], Trial(0.3, math.nan)]
    assert edge_of(diverged) == "largest"
    with pytest.raises(InputError, match="2 learning rates with a loss"):
        sweep_optima({"small": diverged})
    with pytest.raises(InputError, match=r"all 1 runs .* diverged"):
        edge_of([Trial(0.1, math.nan)])
    one_ray = {cell: trials[cell] for cell in CELLS[1:2] + CELLS[4:]}
    with pytest.raises(InputError, match="3 optima do not determine the exponents of params"):
        law_of(one_ray)
    three = {cell: each[1:4] for cell, each in trials.items()}
    with pytest.raises(InputError, match="noise of the sweep is not known"):
        law_of(three)
