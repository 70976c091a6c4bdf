"""Laws are compared by what they predict of larger runs."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.approaches.backtest import backtest
from scaling_jax.laws.catalogue import CHINCHILLA, KAPLAN
from scaling_jax.laws.options import Options
from scaling_jax.laws.tables.check import checked
from scaling_jax.laws.tables.select import usable_rows

CANDIDATES = ("chinchilla", "kaplan-floor")
TRUTHS = {
    "chinchilla": (CHINCHILLA, np.array([1.8, 480.0, 2100.0, 0.5, 0.37])),
    "kaplan-floor": (KAPLAN, KAPLAN.ordered(KAPLAN.published["kaplan-2020"])),
}
OPTIONS = Options(bootstrap=0, level=0.9, count="total", seed=0, resampling="rows")


def study(name, noise=0.001, seed=0, budgets=5):
    form, constants = TRUTHS[name]
    rng = np.random.default_rng(seed)
    rows = []
    for c in np.geomspace(1e17, 1e21, budgets):
        for n in 3e7 * (c / 1e17) ** 0.5 * np.geomspace(0.2, 5, 5):
            loss = float(form.value(constants, {"params": n, "tokens": c / 6 / n}))
            loss *= np.exp(noise * rng.normal())
            rows.append(dict(params=n, tokens=c / 6 / n, loss=loss, budget=c, flops=c))
    return pd.DataFrame(rows)


def test_held_out_runs_have_no_say_in_their_own_prediction():
    table = study("chinchilla")
    rows = usable_rows(checked(table))
    largest = table["budget"] == table["budget"].max()
    spoiled = usable_rows(checked(table.assign(loss=table["loss"].where(~largest, 9.0))))
    for whole, other in zip(
        sorted(backtest(rows, CANDIDATES, OPTIONS), key=lambda t: t.law),
        sorted(backtest(spoiled, CANDIDATES, OPTIONS), key=lambda t: t.law),
        strict=True,
    ):
        # Errors of the last cutoff: same predictions, another measurement.
        predicted = np.log(table["loss"][largest]) - np.array(whole.errors[-5:])
        again = np.log(9.0) - np.array(other.errors[-5:])
        np.testing.assert_allclose(again, predicted, atol=1e-9)


def test_errors_are_signed_and_ranked():
    tests = backtest(usable_rows(checked(study("kaplan-floor"))), CANDIDATES, OPTIONS)
    assert [t.rms for t in tests] == sorted(t.rms for t in tests)
    assert tests[0].law == "kaplan-floor"
    # A floor where there is none makes every larger run better than predicted.
    assert {t.law: t.bias for t in tests}["chinchilla"] < 0


def test_too_few_budgets_to_hold_any_out_is_refused():
    with pytest.raises(InputError, match="name a law"):
        backtest(usable_rows(checked(study("kaplan-floor", budgets=2))), CANDIDATES, OPTIONS)
