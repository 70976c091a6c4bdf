"""A table and a figure of losses on further texts, from curves; a study without one is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.kaplan_transfer import (
    transfer_figure,
    transfer_table,
    transfers,
)
from scaling_jax.study import load_experiment

EXPERIMENT = Path(__file__).parents[3] / "experiments" / "kaplan_transfer.py"


def curves() -> pd.DataFrame:
    rows = [
        {"run_id": f"run{size:g}", "params_non_embedding": size, "tokens": tokens, "loss_of": "x"}
        for size in (1e3, 1e4, 1e5)
        for tokens in (1e4, 4e4, 1.6e5)
    ]
    table = pd.DataFrame(rows)
    table["loss"] = 1 + 5 * table["params_non_embedding"] ** -0.2 + table["tokens"] ** -0.1
    return table.assign(loss_stderr=0.01, loss_code=table["loss"] + 0.5, loss_code_stderr=0.01)


def test_a_constant_offset_is_found_as_one() -> None:
    found = transfers(curves())
    assert list(found) == ["code"]
    assert found["code"].offset == pytest.approx(0.5)
    assert found["code"].offset_spread == pytest.approx(0, abs=1e-9)
    train = np.array([1.5, 2.0])
    assert found["code"].other_loss(train) == pytest.approx(train + 0.5, abs=2e-3)
    assert transfer_table(found)["text"].tolist() == ["code"]
    (axes,) = transfer_figure(curves(), found).axes
    assert len(axes.lines) == 4


def test_a_text_whose_loss_rises_has_no_law_in_the_table_and_no_line() -> None:
    table = curves().assign(loss_code=lambda rows: 5 - rows["loss"])
    found = transfers(table)
    row = transfer_table(found).iloc[0]
    assert row["law"] == "none: the losses do not fall together"
    assert row["slope in ln N"] == row["in ln progress"] == row["rms"] == ""
    (axes,) = transfer_figure(table, found).axes
    assert len(axes.lines) == 3


def test_curves_and_studies_without_a_second_text_are_refused() -> None:
    with pytest.raises(InputError, match="only on their own text"):
        transfers(curves()[["run_id", "params_non_embedding", "tokens", "loss", "loss_stderr"]])
    study = load_experiment(EXPERIMENT, "smoke")
    with pytest.raises(InputError, match="no second text"):
        replace(study, recipe=replace(study.recipe, evals=())).plan()
    with pytest.raises(InputError, match="no run has a curve"):
        replace(study, recipe=replace(study.recipe, eval_every=None)).plan()
