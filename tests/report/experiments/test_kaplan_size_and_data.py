"""Least losses that follow equation 1.5 give its constants back, and its consequences agree."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.laws.catalogue import KAPLAN
from scaling_jax.laws.decisions.overfitting import data_needed, overfitting, stopping_bound
from scaling_jax.report.experiments.kaplan_size_and_data import (
    fit_size_and_data,
    least_losses,
    needs_table,
    overfitting_figure,
    stopping_table,
)

TRUTH = {"A": 50.0, "B": 2e4, "rho": 0.6, "alpha_D": 0.2}
UNLIMITED = 1e12


def records() -> pd.DataFrame:
    n, d = (grid.ravel() for grid in np.meshgrid([1e3, 4e3, 2e4], [1e4, 5e4, 3e5, UNLIMITED]))
    stopped = np.where(d < 1e5, 64_000, 640_000)
    return pd.DataFrame(
        {
            "run_id": [f"run{i}" for i in range(len(n))],
            "seed": 0,
            "params_non_embedding": n,
            "unique_tokens": d,
            "unique_tokens_limit": np.where(d == UNLIMITED, np.nan, d),
            "tokens": 640_000,
            "steps": 1000,
            "batch_size": 5,
            "seq_len": 128,
            "loss_least": (TRUTH["A"] / n ** TRUTH["rho"] + TRUTH["B"] / d) ** TRUTH["alpha_D"],
            "loss_least_tokens": stopped,
        }
    )


def test_the_law_is_found_and_says_what_data_a_size_needs() -> None:
    least = least_losses(records())
    fit = fit_size_and_data(least, bootstrap=0)
    for name, value in TRUTH.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-3)
    limited = least[least["limited"]]
    predicted = overfitting(TRUTH, limited["params"].to_numpy(), limited["tokens"].to_numpy())
    assert limited["excess"].to_numpy() == pytest.approx(predicted, rel=1e-4)
    needed = needs_table(fit, np.array([1e3, 8e3]))["tokens needed"].to_numpy()
    assert needed[1] / needed[0] == pytest.approx(8**0.6, rel=1e-3)
    assert overfitting(TRUTH, 1e3, needed[0]) == pytest.approx(0.02, rel=1e-2)
    assert len(overfitting_figure(least, fit).axes) == 2


def test_published_constants_give_the_published_need_of_data() -> None:
    # Equation 4.4: D >= 5e3 N^0.74, at an overfitting of 0.02.
    published = KAPLAN.published["kaplan-2020"]
    for params in (1e7, 1e9):
        assert data_needed(published, params, 0.02) == pytest.approx(5e3 * params**0.74, rel=0.15)


def test_stops_are_compared_with_the_bound_where_data_stopped_a_run() -> None:
    least = least_losses(records())

    law = {"B": 10.0, "alpha_S": 0.5}
    stops = stopping_table(least, law)
    # Runs whose loss was still falling are left out.
    assert set(stops["tokens"]) == {1e4, 5e4}
    row = stops.iloc[0]
    unlimited = least.loc[~least["limited"] & (least["params"] == row["params"]), "loss"].iloc[0]
    assert row["bound"] == pytest.approx((10 / (row["loss"] - unlimited)) ** 2)
    assert stopping_bound(law, 2.0, 2.0) == np.inf


def test_studies_that_cannot_show_overfitting_are_refused() -> None:
    with pytest.raises(InputError, match="no run was trained on unlimited data"):
        least_losses(records().assign(unique_tokens_limit=1e4))
    with pytest.raises(InputError, match="cannot be stopped early"):
        least_losses(records().drop(columns="loss_least"))
