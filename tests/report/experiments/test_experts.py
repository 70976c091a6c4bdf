"""The table and the figure of dense models and mixtures of experts."""

import pandas as pd
import pytest

from scaling_jax.report.experiments.experts import expert_figure, lowest

RECORDS = pd.DataFrame(
    {
        "budget": [1e11] * 4 + [2e11] * 3,
        "n_experts": [1, 1, 8, 8, 1, 8, 8],
        "params_active": [10, 20, 10, 20, 20, 20, 40],
        "params": [10, 20, 60, 120, 20, 120, 240],
        "tokens": [4, 2, 4, 2, 4, 4, 2],
        "loss": [2.0, 1.9, 1.8, 1.85, 1.7, 1.6, 1.55],
    }
)


def test_the_lowest_loss_of_each_curve_is_compared_with_the_dense_model() -> None:
    best = lowest(RECORDS).set_index(["budget", "n_experts"])
    assert best["params_active"].tolist() == [20, 10, 20, 40]
    assert best["gain"].tolist() == pytest.approx([0, 0.1, 0, 0.15])


def test_a_panel_for_each_budget_and_a_line_for_each_number_of_experts() -> None:
    panels = expert_figure(RECORDS).axes
    assert [len(axes.lines) for axes in panels] == [2, 2]
    assert [text.get_text() for text in panels[-1].get_legend().get_texts()] == [
        "dense",
        "8 experts",
    ]
    assert panels[1].lines[1].get_ydata().tolist() == [1.6, 1.55]
