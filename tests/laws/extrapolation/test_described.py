"""The one law by which an average is stored."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.members import constants_of
from tests.laws.made_up import made_up_table

SIZES = np.array([1.2e7, 2.3e7, 4.2e7, 7.0e7, 1.1e8])


def table_of(size_effect: float) -> pd.DataFrame:
    """Two budgets in which the smallest model is the best one."""
    rows = []
    for flops in (7e14, 2.1e15):
        for n in SIZES:
            d = flops / 6 / n
            loss = 0.8 + (4600 / d**0.52) ** 0.76 + size_effect / n**0.4
            rows.append(dict(params=n, tokens=d, loss=loss))
    return pd.DataFrame(rows)


@pytest.mark.parametrize("size_effect", [0.0, 1e-6, 50.0])
def test_the_law_says_of_the_rows_what_its_members_say(size_effect: float) -> None:
    table = table_of(size_effect)
    fit = laws.fit(table, law="auto", bootstrap=0)
    assert isinstance(fit, laws.LawFit)
    at = {name: table[name].to_numpy() for name in ("params", "tokens")}
    weight_J = np.array([member.weight for member in fit.members])
    each_JxN = fit.definition.value(constants_of(fit.members)[:, None, :], at)
    average_N = np.exp(weight_J @ np.log(each_JxN))
    constants_P = fit.definition.ordered(fit.params)
    np.testing.assert_allclose(fit.definition.value(constants_P, at), average_N, rtol=0.02)
    assert fit.params["E"] < table["loss"].min()


@pytest.mark.parametrize("fixed", [{"E": 0.0}, {"E": 0.7}, {"k": 1.0}, {"alpha": 0.5}])
def test_a_constant_that_is_held_is_held_in_the_average(fixed: dict[str, float]) -> None:
    fit = laws.fit(table_of(50.0), law="auto", fixed=fixed, bootstrap=0)
    assert len(fit.members) > 1
    assert {name: fit.params[name] for name in fixed} == fixed


def test_an_interval_of_a_constant_of_an_average_holds_the_constant() -> None:
    # The members that are resampled hold k = 1, and the law that describes the average does not.
    fit = laws.fit(made_up_table(k=0.6), law="auto", fixed={"E": 0.0}, bootstrap=40)
    assert fit.intervals is not None
    assert fit.params["k"] < 0.99
    for name, (low, high) in fit.intervals.items():
        assert low <= fit.params[name] <= high, name
