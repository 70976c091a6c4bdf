"""The best run of each architecture and size, from a table whose best runs are known."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.architectures import architectures_figure, best_runs

RATES = (1e-3, 2e-3, 4e-3)


def records() -> pd.DataFrame:
    """Two architectures, two sizes and three rates; the LSTM is best at the highest rate."""
    rows = [
        dict(
            architecture=name,
            params_non_embedding=size,
            peak_lr=rate,
            loss=3 - 0.1 * np.log(size) + (name == "lstm") * 0.2 + np.log(rate / best) ** 2,
            status="finished",
        )
        for name, best in (("transformer", 2e-3), ("lstm", 4e-3))
        for size in (1_000, 4_000)
        for rate in RATES
    ]
    return pd.DataFrame(rows)


def test_the_best_rate_of_each_size_is_chosen_and_named_if_it_is_at_an_edge() -> None:
    best = best_runs(records()).set_index(["architecture", "params_non_embedding"])
    assert best["peak_lr"].to_dict() == {
        ("lstm", 1_000): 4e-3,
        ("lstm", 4_000): 4e-3,
        ("transformer", 1_000): 2e-3,
        ("transformer", 4_000): 2e-3,
    }
    assert best["at_edge"].loc["lstm"].all()
    assert not best["at_edge"].loc["transformer"].any()


def test_diverged_runs_and_lone_rates_are_no_edges() -> None:
    table = records()
    table.loc[table["peak_lr"] > 2e-3, ["status", "loss"]] = ["diverged", np.nan]
    best = best_runs(table)
    assert (best["peak_lr"] == 2e-3).all()
    one = best_runs(table[table["peak_lr"] == 2e-3])
    assert not one["at_edge"].any()
    with pytest.raises(InputError, match="no run of this study has finished"):
        best_runs(table.assign(status="planned"))


def test_a_line_of_the_figure_is_the_difference_from_the_reference_at_each_position() -> None:
    position = np.arange(1, 65)
    shared = np.random.default_rng(0).normal(size=64)
    positions = {
        "lstm": pd.DataFrame(dict(position=position, loss=2.3 + shared)),
        "transformer": pd.DataFrame(dict(position=position, loss=2.0 + shared)),
    }
    figure = architectures_figure(best_runs(records()), positions)
    reference, lstm = figure.axes[1].lines
    np.testing.assert_allclose(reference.get_ydata(), 0, atol=1e-12)
    np.testing.assert_allclose(lstm.get_ydata(), 0.3, rtol=1e-9)
