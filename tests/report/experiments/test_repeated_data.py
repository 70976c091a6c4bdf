"""A decay is identified if its profile is bounded on both sides."""

import math

import pandas as pd
import pytest

from scaling_jax.laws import Profile
from scaling_jax.report.experiments.repeated_data import epochs_figure, verdict

INF = math.inf


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ((7.0, 31.0), "identified"),
        ((5.0, INF), "not identified, only bounded below"),
        ((0.0, 40.0), "not identified, only bounded above"),
        ((0.5, 400.0), "not identified"),
    ],
)
def test_a_decay_is_identified_if_it_is_bounded_on_both_sides(
    ends: tuple[float, float], wanted: str
) -> None:
    profile = Profile("R_D", 15.4, ends, 0.9, (), ())
    assert verdict(profile).startswith("R_D = 15.4, 90% interval")
    assert verdict(profile).rpartition(": ")[2] == wanted


def test_a_panel_for_each_number_of_unique_tokens_and_a_line_through_the_means_of_seeds() -> None:
    rows = [
        {
            "params": n,
            "unique_tokens": u,
            "unique_tokens_limit": u,
            "tokens": e * u,
            "loss": 3.0 + s,
        }
        for n in (1e3, 1e4)
        for u in (100, 200)
        for e in (1, 4)
        for s in (0, 1)
    ]
    panels = epochs_figure(pd.DataFrame(rows)).axes
    assert [len(axes.lines) for axes in panels] == [4, 4]
    runs, means = panels[0].lines[:2]
    assert sorted(runs.get_xdata()) == [1, 1, 4, 4]
    assert means.get_xydata().tolist() == [[1, 3.5], [4, 3.5]]
