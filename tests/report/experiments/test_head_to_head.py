"""Differences between two laws' sizes: pairs by seed, intervals, and compute at equal loss."""

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.head_to_head import (
    differences,
    head_to_head_figure,
    mean_differences,
    task_differences,
)

LAWS = ("hoffmann", "kaplan")
GAP = 1.02


def study(seeds: int = 3) -> tuple[pd.DataFrame, dict[str, dict[str, np.ndarray]]]:
    rng = np.random.default_rng(0)
    text_N = rng.normal(1, 0.3, 64)
    text_N /= text_N.mean()
    rows, windows = [], {}
    for budget in (1e11, 4e11, 1.6e12):
        for seed in range(seeds):
            for law in LAWS:
                loss = 3 * (budget / 1e11) ** -0.1 * (GAP if law == "kaplan" else 1)
                run = f"{law}{budget:g}-{seed}"
                noise_N = rng.normal(0, 1e-3, 64)
                windows[run] = {"held_out": loss * text_N + noise_N}
                row = {"run_id": run, "variation": f"seed={seed}, {law}", "seed": seed}
                row |= {"budget": budget, "flops": budget, "optimizer": "adamw", "loss": loss}
                rows.append(row | {"acc_cloze": 0.5 - 0.1 * (law == "kaplan"), "chance_cloze": 0.2})
    return pd.DataFrame(rows), windows


def test_differences_have_the_wanted_sign_size_and_compute() -> None:
    found = differences(*study(), LAWS)
    assert len(found) == 3
    for row in found.itertuples():
        wanted = 3 * (row.budget / 1e11) ** -0.1 * (1 - GAP)
        assert row.difference == pytest.approx(wanted, abs=2e-3)
        assert row.low < wanted < row.high < 0
        assert row.worse == "kaplan"
        # The loss falls as C^-0.1.
        assert row.equal_loss == pytest.approx(GAP**10, rel=0.02)
    (axes,) = head_to_head_figure(found, LAWS).axes
    assert len(axes.lines) == 2


def test_optimizers_are_compared_on_the_same_size() -> None:
    records, windows = study()
    plain = records.assign(run_id=records["run_id"] + "-adam", optimizer="adam")
    of_adam = {
        f"{run}-adam": {name: 1.01 * losses_N for name, losses_N in each.items()}
        for run, each in windows.items()
    }
    both = pd.concat([records, plain], ignore_index=True)
    found = differences(both, windows | of_adam, ("adamw", "adam"), over="optimizer")
    assert set(zip(found["budget"], found["law"], strict=True)) == {
        (budget, law) for budget in (1e11, 4e11, 1.6e12) for law in LAWS
    }
    assert (found["difference"] / found["loss_adamw"]).to_numpy() == pytest.approx(-0.01)
    assert (found["high"] < 0).all()
    assert set(found["worse"]) == {"adam"}


def test_the_mean_over_budgets_joins_all_pairs() -> None:
    (row,) = mean_differences(*study(), LAWS).to_dict("records")
    assert row["pairs"] == 9
    assert row["share"] == pytest.approx(-np.log(GAP), abs=1e-3)
    assert row["low"] <= row["share"] <= row["high"] < 0


def test_accuracies_are_compared_over_seeds() -> None:
    found = task_differences(study()[0], LAWS)
    assert found["difference"].to_numpy() == pytest.approx([0.1] * 3)
    assert found["task"].tolist() == ["cloze"] * 3


def test_one_seed_has_no_interval_and_no_pair_is_refused() -> None:
    assert differences(*study(seeds=1), LAWS)["low"].isna().all()
    records, windows = study()
    with pytest.raises(InputError, match="no seed has finished runs of both"):
        differences(records[records["variation"].str.endswith("kaplan")], windows, LAWS)
