"""Layouts that others write are recognised, with the columns that ours add up from."""

import json

import numpy as np
import pandas as pd
import pytest

from scaling_jax import laws
from scaling_jax.laws.tables.read import load_table


def nanochat():
    """Results as nanochat's scaling-law runs write them, of C = 6 (matrices + head) D."""
    blocks, budget = (g.ravel() for g in np.meshgrid(np.geomspace(3e7, 3e8, 6), [1e18, 4e18, 2e19]))
    head = 30 * blocks**0.7
    tokens = budget / 6 / (blocks + head)
    return pd.DataFrame(
        {
            "flops_budget": budget,
            "params_wte": head,
            "params_lm_head": head,
            "params_transformer": blocks,
            "params_total": blocks + 2 * head,
            "tokens_trained": tokens,
            "val_bpb": 0.6 + 100 / (blocks + head) ** 0.34 + 90 / tokens**0.28,
        }
    )


def test_nanochat_counts_matrices_and_head_as_params_without_embedding():
    table = nanochat()
    fit = laws.fit(table, count="non_embedding", bootstrap=0)
    assert fit.params["alpha"] == pytest.approx(0.34, abs=1e-6)
    assert fit.unit == "bits per byte"
    assert any("params_transformer + params_lm_head" in note for note in fit.diagnostics)
    frame = load_table(table)
    np.testing.assert_allclose(
        frame["params_non_embedding"], table["params_transformer"] + table["params_lm_head"]
    )
    assert (frame["params"] == table["params_total"]).all()


def test_marin_counts_gigaflops_and_nests_its_records(tmp_path):
    path = tmp_path / "tracker_metrics.jsonl"
    record = {
        "config": {"trainer": {"seed": 0}},
        "summary": {
            "parameter_count": 3e8,
            "throughput/total_tokens": 6e9,
            "throughput/total_gflops": 1.1e10,
            "eval/paloma/c4_en/bpb": 1.05,
        },
    }
    path.write_text(json.dumps(record) + "\n")
    frame = load_table(path)
    assert frame[["params", "tokens", "flops", "loss"]].iloc[0].tolist() == [3e8, 6e9, 1.1e19, 1.05]
    assert frame.attrs["unit"] == "bits per byte"
