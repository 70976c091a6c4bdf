"""The best run of each architecture and size, from a table whose best runs are known."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.architectures import architectures_figure, best_rates

RATES = (1e-3, 2e-3, 4e-3)


def records() -> pd.DataFrame:
    """Two architectures, sizes and seeds, three rates; the LSTM is best at the highest rate."""
    rows = [
        dict(
            architecture=name,
            params_non_embedding=size,
            peak_lr=rate,
            seed=seed,
            run_id=f"{name}-{size}-{rate}-{seed}",
            # At the lowest rate one seed is lucky, and the other is far behind.
            loss=3
            - 0.1 * np.log(size)
            + (name == "lstm") * 0.2
            + 0.01 * seed
            + np.log(rate / best) ** 2
            + (rate == RATES[0]) * (9 if seed else -2),
            status="finished",
        )
        for name, best in (("transformer", 2e-3), ("lstm", 4e-3))
        for size in (1_000, 4_000)
        for rate in RATES
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


def test_the_best_rate_of_each_size_is_chosen_and_named_if_it_is_at_an_edge() -> None:
    best = best_rates(records()).set_index(["architecture", "params_non_embedding"])
    assert best["peak_lr"].to_dict() == {
        ("lstm", 1_000): 4e-3,
        ("lstm", 4_000): 4e-3,
        ("transformer", 1_000): 2e-3,
        ("transformer", 4_000): 2e-3,
    }
    assert best["at_edge"].loc["lstm"].all()
    assert not best["at_edge"].loc["transformer"].any()
    assert (best["seeds"] == 2).all()


def test_architectures_are_compared_seed_by_seed_at_the_same_size() -> None:
    best = best_rates(records()).set_index(["architecture", "params_non_embedding"])
    for size in (1_000, 4_000):
        ratios = [1 + 0.2 / (3 - 0.1 * np.log(size) + 0.01 * seed) for seed in (0, 1)]
        row = best.loc["lstm", size]
        assert row["behind"] == pytest.approx(np.mean(ratios) - 1)
        assert row["low"] < row["behind"] < row["high"]
        assert best.loc["transformer", size]["behind"] == 0
    # At another size the reference's loss is that of the line through its sizes, in logs.
    larger = records().replace({"params_non_embedding": {4_000: 2_000}})
    moved = pd.concat(
        [records().query("architecture == 'transformer'"), larger.query("architecture == 'lstm'")]
    )
    row = best_rates(moved).set_index(["architecture", "params_non_embedding"]).loc["lstm", 2_000]
    between = [
        np.sqrt((3 - 0.1 * np.log(1e3) + 0.01 * s) * (3 - 0.1 * np.log(4e3) + 0.01 * s))
        for s in (0, 1)
    ]
    there = [3.2 - 0.1 * np.log(4e3) + 0.01 * s for s in (0, 1)]
    assert row["behind"] == pytest.approx(np.mean(np.divide(there, between)) - 1)
    alone = best_rates(records().query("architecture == 'lstm'"))
    assert alone["behind"].isna().all()


def test_a_rate_that_diverged_with_one_seed_does_not_win_with_the_other() -> None:
    table = records()
    lost = (table["peak_lr"] == 1e-3) & (table["seed"] == 1)
    best = best_rates(table.assign(status=np.where(lost, "diverged", "finished")))
    assert (best["peak_lr"] > 1e-3).all()


def test_diverged_runs_and_lone_rates_are_no_edges() -> None:
    table = records()
    table.loc[table["peak_lr"] > 2e-3, ["status", "loss"]] = ["diverged", np.nan]
    best = best_rates(table)
    assert (best["peak_lr"] == 2e-3).all()
    one = best_rates(table[table["peak_lr"] == 2e-3])
    assert not one["at_edge"].any()
    with pytest.raises(InputError, match="no run of this study has finished"):
        best_rates(table.assign(status="planned"))


def test_a_line_of_the_figure_is_the_difference_from_the_reference_at_each_position() -> None:
    position = np.arange(1, 65)
    shared = np.random.default_rng(0).normal(size=64)
    positions = {
        "lstm": pd.DataFrame(dict(position=position, loss=2.3 + shared)),
        "transformer": pd.DataFrame(dict(position=position, loss=2.0 + shared)),
    }
    figure = architectures_figure(best_rates(records()), positions)
    reference, lstm = figure.axes[1].lines
    np.testing.assert_allclose(reference.get_ydata(), 0, atol=1e-12)
    np.testing.assert_allclose(lstm.get_ydata(), 0.3, rtol=1e-9)
