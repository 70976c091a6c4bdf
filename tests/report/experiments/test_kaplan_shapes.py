"""Relative losses of shapes: sizes taken out, seeds paired, the base in every series."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.report.experiments.kaplan_shapes import shape_figure, shape_losses

# Excess by shape: the base, a deeper one, one with more heads, one with a wider feed-forward layer.
SHAPES = {
    ("base", 2, 32, 2, 128): 0.0,
    ("aspect", 8, 16, 2, 64): 0.05,
    ("heads", 2, 32, 4, 128): 0.01,
    ("feed-forward", 2, 24, 2, 192): 0.02,
}
SEEDS = {0: 1.0, 1: 1.03}  # the seeds' own losses, which are common to all shapes


def records() -> pd.DataFrame:
    rows = []
    for size in (1e4, 1e5):
        for i, ((name, n_layers, d_model, n_heads, d_ff), excess) in enumerate(SHAPES.items()):
            params = size * (1 + 0.005 * i)
            for seed, factor in SEEDS.items():
                rows.append(
                    {
                        "variation": f"seed={seed}, {name}",
                        "seed": seed,
                        "tokens": 1000,
                        "params_non_embedding": params,
                        "n_layers": n_layers,
                        "d_model": d_model,
                        "n_heads": n_heads,
                        "d_ff": d_ff,
                        "loss": 5 * params**-0.1 * (1 + excess) * factor,
                    }
                )
    return pd.DataFrame(rows)


def test_excess_is_what_the_shapes_lose_once_their_sizes_are_taken_out() -> None:
    found = shape_losses(records())
    for name, row in found.groupby("series"):
        for _, each in row.iterrows():
            shape = (str(name), *each[["n_layers", "d_model", "n_heads", "d_ff"]].astype(int))
            wanted = SHAPES.get(shape, 0.0)
            assert each["excess"] == pytest.approx(wanted, abs=1e-9)
            # The seeds' own losses cancel in pairs.
            assert each["low"] == pytest.approx(wanted, abs=1e-9)
    assert (found.groupby(["size", "series"]).size() == 2).all()
    assert len(np.unique(found["size"])) == 2


def test_a_line_for_each_size_in_each_panel() -> None:
    panels = shape_figure(shape_losses(records())).axes
    assert [axes.get_xlabel() for axes in panels][1] == "heads"
    for axes in panels:
        assert sum(len(line.get_xdata()) == 2 for line in axes.lines) >= 2
