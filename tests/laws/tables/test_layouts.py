"""Names of columns are mapped, well-known layouts are recognised, and a loss has a known unit."""

import json

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.tables.layouts import BITS_PER_BYTE, NATS, loss_unit
from scaling_jax.laws.tables.read import load_table


def grid():
    params, flops = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), [1e18, 1e19, 1e20]))
    tokens = flops / 6 / params
    loss = 1.7 + 400 / params**0.34 + 410 / tokens**0.28
    return pd.DataFrame({"params": params, "tokens": tokens, "budget": flops, "loss": loss})


def renamed(**theirs):
    return grid().rename(columns=theirs)


@pytest.mark.parametrize(
    ("table", "columns", "unit"),
    [
        (renamed(params="N", loss="score"), {"params": "N", "loss": "score"}, ""),
        (grid().assign(eval_loss=grid().loss, loss=9.0), {"loss": "eval_loss"}, ""),
        (renamed(loss="bpb"), {"loss": "bpb"}, BITS_PER_BYTE),
        (renamed(loss="bits_per_byte"), None, BITS_PER_BYTE),
        (
            renamed(params="parameters", budget="compute_budget", loss="final_loss").drop(
                columns="tokens"
            ),
            None,
            NATS,
        ),
        (
            renamed(
                params="params_total",
                budget="flops_budget",
                tokens="tokens_trained",
                loss="val_bpb",
            ),
            None,
            BITS_PER_BYTE,
        ),
        (
            renamed(params="num_params", tokens="num_tokens", loss="eval/loss").assign(
                Name=[f"run-{k}" for k in range(15)], State="finished"
            ),
            None,
            "",
        ),
    ],
)
def test_a_layout_gives_the_law_of_its_numbers(table, columns, unit):
    frame = load_table(table, columns=columns)
    pd.testing.assert_frame_equal(
        frame[["params", "tokens", "loss"]], grid()[["params", "tokens", "loss"]]
    )
    assert loss_unit(frame) == unit
    assert loss_unit(frame, "nats") == NATS


def test_the_runs_of_a_tracker_have_states_and_names():
    table = renamed(loss="val_loss").assign(
        Name=[f"run-{k}" for k in range(15)], State=["crashed"] + ["finished"] * 14
    )
    fit = laws.fit(table, bootstrap=0)
    assert fit.n_dropped == {"failed": 1}
    assert "run_id is Name, status is State" in fit.diagnostics[0]


def test_all_approaches_take_the_mapping(tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(renamed(params="N").to_dict(orient="records")))
    compared = laws.compare(path, columns={"params": "N"}, bootstrap=0)
    assert sorted(compared.fits) == [2, 3]
    assert laws.profile(path, "alpha", columns={"params": "N"}).estimate == pytest.approx(
        0.34, abs=1e-3
    )


def test_a_fit_keeps_the_unit_and_prints_none_where_it_is_unknown():
    at = {"params": 1e8, "tokens": 1e10}
    for unit, text in ((None, "  ("), ("bpb", " bits per byte  ("), ("nats", " nats per token  (")):
        fit = laws.Fit.from_json(laws.fit(grid(), unit=unit, bootstrap=0).to_json())
        from scaling_jax.laws.fit_text import describe_prediction

        prediction = fit.predict(**at)
        assert f"{prediction.loss:.4f}{text}" in describe_prediction(fit, at, prediction)
