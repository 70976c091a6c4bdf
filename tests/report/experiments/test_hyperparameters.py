"""Best settings of a sweep whose optima and laws are known."""

import io
import math

import numpy as np
import pandas as pd
import pytest

from scaling_jax.errors import InputError
from scaling_jax.report.experiments.best_settings import LEVEL, best_settings
from scaling_jax.report.experiments.hyperparameters import as_text, by_rules, main, settings_figure
from scaling_jax.shapes import Family

FAMILY = Family(vocab_size=256, seq_len=64)
SIZES = {float(n): FAMILY.nearest(n) for n in (1e4, 2e4, 4e4)}
TOKENS = (1e5, 4e5, 1.6e6)
BATCHES, RATES = (2, 4, 8, 16, 32, 64, 128), tuple(2.0**i for i in range(-11, -1))


def best_rate(params, tokens, batch_tokens):
    return 0.02 * (params / 2e4) ** -0.5 * (tokens / 4e5) ** -0.1 * (batch_tokens / 512) ** 0.4


def best_batch(tokens):
    return 512 * (tokens / 4e5) ** 0.5


def records(noise=0.0, seed=0):
    """Losses that are parabolas of the rate, and at the best rate of the batch."""
    rng, rows = np.random.default_rng(seed), []
    for params in SIZES:
        for tokens in TOKENS:
            for batch in BATCHES:
                for rate in RATES:
                    off = math.log(rate / best_rate(params, tokens, batch * 64))
                    beside = math.log(batch * 64 / best_batch(tokens))
                    log = 0.7 - 0.05 * math.log(params * tokens / 2e9)
                    log += 0.02 * off**2 + 0.01 * beside**2 + noise * rng.standard_normal()
                    rows.append((params, tokens, batch, rate, math.exp(log)))
    table = pd.DataFrame(
        rows, columns=["params", "requested_tokens", "batch_size", "peak_lr", "loss"]
    )
    known = {"seq_len": 64, "seed": 0, "status": "finished"}
    return table.assign(params_non_embedding=table.params, **known)


def test_exponents_and_optima_are_found():
    found = best_settings(records(noise=1e-5))
    row = found.best.set_index(["params", "tokens"]).loc[2e4, 4e5]
    assert row.batch_tokens == pytest.approx(512, rel=0.01)
    assert row.peak_lr == pytest.approx(0.02, rel=0.01)
    assert found.rate_law.exponents["params"] == pytest.approx(-0.5, abs=0.01)
    # At the best batch: -0.1 + 0.4 times the 0.5 by which the batch grows.
    assert found.rate_law.exponents["tokens"] == pytest.approx(0.1, abs=0.01)
    assert found.batch_law.exponents["params"] == pytest.approx(0, abs=0.01)
    assert found.batch_law.exponents["tokens"] == pytest.approx(0.5, abs=0.01)
    assert found.batch_exponent[0] == pytest.approx(0.4, abs=0.01)


def test_intervals_of_the_exponents_hold_the_truth():
    held = []
    for seed in range(40):
        found = best_settings(records(noise=2e-3, seed=seed))
        for law, truths in (
            (found.rate_law, {"params": -0.5, "tokens": 0.1}),
            (found.batch_law, {"params": 0.0, "tokens": 0.5}),
        ):
            held += [law.intervals[n][0] <= x <= law.intervals[n][1] for n, x in truths.items()]
    assert np.mean(held) == pytest.approx(LEVEL, abs=0.06)


def test_a_cell_without_an_optimum_is_left_out_and_named():
    table = records(noise=1e-5)
    cut = (table.params == 1e4) & (table.peak_lr > 2.0**-8)
    found = best_settings(table[~cut])
    assert any("largest learning rate" in reason for reason in found.skipped)
    assert found.rate_law.exponents["params"] == pytest.approx(-0.5, abs=0.05)
    with pytest.raises(InputError, match="no batch of this study has a best learning rate"):
        best_settings(table[table.peak_lr < 2.0**-9])
    wild = table.peak_lr > 2.0**-3
    diverged = table.assign(
        status=np.where(wild, "diverged", "finished"), loss=table.loss.mask(wild)
    )
    assert best_settings(diverged).rate_law.exponents["params"] == pytest.approx(-0.5, abs=0.01)


def test_the_published_rules_stand_beside_ours():
    table = records(noise=1e-5)
    found = best_settings(table)
    rules = by_rules(found.best, SIZES)
    text = as_text(found, rules)
    assert "Step Law: N -0.713, D +0.307" in text
    assert "DeepSeek: N +0.327, D +0.327" in text
    assert "Porian: N +0.667, D +0.000" in text
    assert (rules.filter(like="batch") >= 64).all(axis=None)
    figure = settings_figure(table, found, rules)
    assert len(figure.axes[0].lines) == 2 * len(BATCHES)
    figure.savefig(io.BytesIO(), format="svg")


def test_a_sweep_with_too_few_batches_is_drawn_without_a_law():
    table = records(noise=1e-5)
    few = table[table.batch_size < 8]
    found = best_settings(few)
    assert found.best.empty
    assert found.rate_law is None
    rules = by_rules(found.best, SIZES)
    assert "2 batches with a loss: it needs at least 3" in as_text(found, rules)
    settings_figure(few, found, rules).savefig(io.BytesIO(), format="svg")


def test_a_store_without_finished_runs_is_refused(tmp_path):
    with pytest.raises(InputError):
        main(str(tmp_path), str(tmp_path / "out.svg"))
