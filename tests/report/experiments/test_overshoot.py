"""The table and the figure of the cost of cosines longer than the run."""

import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.overshoot import overshoot_cost, overshoot_figure

RECORDS = pd.DataFrame(
    {
        "params": [100, 100, 100, 200, 200, 200],
        "cycle": [1.0, 1.25, 2.0] * 2,
        "loss": [2.0, 2.01, 2.2, 1.0, 1.0, float("nan")],
        "status": ["finished"] * 5 + ["diverged"],
    }
)


def test_cost_is_relative_to_the_cycle_that_matches_the_run() -> None:
    cost = overshoot_cost(RECORDS)
    assert cost.loc[100].tolist() == pytest.approx([0, 0.005, 0.1])
    assert cost.loc[200, 1.25] == 0
    assert pd.isna(cost.loc[200, 2.0])


def test_a_line_for_each_model() -> None:
    (axes,) = overshoot_figure(RECORDS).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "100 parameters",
        "200 parameters",
    ]
    assert axes.get_xticks().tolist() == [1.0, 1.25, 2.0]


def test_a_study_without_matching_cosines_is_refused() -> None:
    with pytest.raises(InputError, match="with a cosine of its own length has finished"):
        overshoot_cost(RECORDS[RECORDS["cycle"] > 1])
