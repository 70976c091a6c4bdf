"""The three approaches side by side."""

import numpy as np
import pandas as pd
import pytest

import scaling_jax as sj
from scaling_jax import laws
from scaling_jax.errors import InputError

pytestmark = pytest.mark.usefixtures("unoptimized")

TRUTH = laws.Surface.of("chinchilla", laws.LAWS["chinchilla"].published["hoffmann-2022"])
BUDGETS = np.geomspace(1e18, 1e21, 5)


def runs(width: float = 8, noise: float = 1e-3) -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []
    for budget in BUDGETS:
        best = float(TRUTH.training_optimum(budget)[0][0])
        for params in best * np.geomspace(1 / width, width, 7):
            tokens = budget / 6 / params
            loss = float(TRUTH.loss(params, tokens)[0]) * np.exp(noise * rng.normal())
            rows.append((f"{params:.6g}@{budget:.3g}", params, tokens, loss, budget))
    return pd.DataFrame(rows, columns=["run_id", "params", "tokens", "loss", "budget"])


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Losses along runs that follow the law at every step."""
    rows = []
    for run_id, params, tokens in zip(table.run_id, table.params, table.tokens, strict=True):
        for done in tokens * np.linspace(0.005, 1, 200):
            loss = float(TRUTH.loss(params, done)[0])
            rows.append((run_id, params, done, 6 * params * done, loss))
    return pd.DataFrame(rows, columns=["run_id", "params", "tokens", "flops", "loss"])


@pytest.fixture(scope="module")
def compared():
    table = runs()
    return sj.compare(table, training_curves=curves(table), bootstrap=100)


def test_every_approach_answers_alike_and_holds_the_truth(compared):
    assert compared.refused == {}
    at = 1e22
    params, tokens = (float(x[0]) for x in TRUTH.training_optimum(at))
    loss = float(TRUTH.loss(params, tokens)[0])
    for approach, allocation in compared.allocations([at]).items():
        (optimum,) = allocation.optima
        assert allocation.approach == approach
        assert optimum.params == pytest.approx(params, rel=0.15), approach
        assert optimum.tokens == pytest.approx(tokens, rel=0.15), approach
        # Smoothing bends the first steps of a curve, which approach 1 reads.
        close = 0.02 if approach == 1 else 0.01
        assert optimum.loss == pytest.approx(loss, rel=close), approach
        assert allocation.exponents["a"].value == pytest.approx(0.4566, abs=0.03)
        assert optimum.loss_interval[0] < optimum.loss < optimum.loss_interval[1]


def test_one_table_has_every_approach_at_every_budget(compared):
    table = compared.table([1e20, 1e21, 1e22])
    assert table.groupby("approach").size().to_dict() == {1: 3, 2: 3, 3: 3}
    row = table[(table.approach == 2) & (table.flops == 1e21)].iloc[0]
    optimum = compared.fits[2].optimal(1e21)
    assert (row.params, row.params_low) == (optimum.params, optimum.params_interval[0])
    assert row.loss_high == optimum.loss_interval[1]
    assert compared.table().flops.max() == pytest.approx(10 * BUDGETS[-1], rel=1e-6)


def test_a_stored_fit_allocates_the_same(compared):
    for fit in compared.fits.values():
        assert laws.Fit.from_json(fit.to_json()).allocation([1e22]) == fit.allocation([1e22])


def test_what_the_runs_do_not_allow_is_refused_by_name(compared):
    table = runs().drop(columns=["run_id", "budget"])
    table["tokens"] *= np.random.default_rng(1).uniform(0.5, 2, len(table))
    found = laws.compare(table, bootstrap=0)
    assert sorted(found.fits) == [3]
    assert "run_id" in found.refused[1]
    assert "budget" in found.refused[2]
    assert np.isnan(found.table().loss_low).all()
    without_frontier = laws.compare(runs(), law="kaplan-params", bootstrap=0)
    assert "no compute-optimal frontier" in without_frontier.refused[3]


def test_few_minima_say_that_they_have_no_loss():
    table = runs()
    fit = laws.fit(table[table.budget < 1e20], approach=2, bootstrap=0)
    assert fit.optimal(1e22).loss is None
    assert "3 minima are too few to say how the loss" in " ".join(fit.diagnostics)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(law="chinchila"), "did you mean 'chinchilla'"),
        (dict(objective="hubert"), "did you mean 'huber'"),
        (dict(isoflop_curve="akim"), "did you mean 'akima'"),
        (dict(bootstrap=3), "too few resamples"),
    ],
)
def test_an_option_is_refused_rather_than_an_approach(options, words):
    with pytest.raises(InputError, match=words):
        laws.compare(runs(), **options)
