"""Records hold one row per run and curves each step once."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from small_studies import small_study, write_fake_result

from scaling_jax.accounting import flops
from scaling_jax.runs.code import code_state
from scaling_jax.study import Store, collect, curves
from scaling_jax.study.store import history

NEEDED_BY_FITS = {"params", "tokens", "loss", "flops", "budget"}
LOSSES = ["loss", "loss_stderr", "bits_per_byte", "train_loss"]


def test_one_row_per_run_whatever_its_state(tmp_path):
    store = Store.create(tmp_path, small_study())
    planned, failed, finished, diverged = store.runs()
    history.record(failed.directory, "failed", reason="OSError: disk full")
    write_fake_result(finished)
    write_fake_result(
        diverged, status="diverged", tokens=512, loss=None, loss_stderr=None, bits_per_byte=None
    )
    table = collect(store).set_index("run_id")
    assert set(table.columns) >= NEEDED_BY_FITS
    ids = [run.run_id for run in (planned, failed, finished, diverged)]
    assert list(table.status[ids]) == ["planned", "failed", "finished", "diverged"]
    assert list(table.loss.notna()[ids]) == [False, False, True, False]
    assert table.failure[failed.run_id] == "OSError: disk full"
    assert set(table.budget) == {2e9, 4e9}
    assert set(table.role) == {"grid"}
    # What a diverged run saw, and what the others are to see.
    assert table.tokens[diverged.run_id] == 512
    assert table.tokens[planned.run_id] == planned.planned.config.tokens


def test_flops_stand_under_every_convention(finished, tmp_path):
    table = collect(finished)
    assert (table.flops == table.flops_6nd).all()
    assert (table.flops_6nd == 6 * table.params * table.tokens).all()
    assert (table.flops_kaplan == 6 * table.params_non_embedding * table.tokens).all()
    for run, row in zip(finished.runs(), table.itertuples(), strict=True):
        config = run.planned.config
        for convention in flops.CONVENTIONS:
            expected = flops.training_flops(config.shape, config.tokens, convention)
            assert getattr(row, f"flops_{convention}") == expected
    other = Store.create(tmp_path, small_study(convention="exact"))
    planned = collect(other)
    assert (planned.flops == planned.flops_exact).all()


def test_measured_columns(finished):
    table = collect(finished)
    assert table[LOSSES].notna().all().all()
    assert (table.loss_stderr < 0.1 * table.loss).all()
    assert (table.bits_per_byte / table.loss).between(1.44, 1.45).all()
    assert (table.unique_tokens == table.tokens).all()
    assert (table.tokens == table.batch_size * table.steps * table.seq_len).all()
    assert (table.seconds > 0).all()
    assert table.failure.isna().all()


def test_a_table_survives_csv(finished, tmp_path):
    table = collect(finished)
    table.to_csv(tmp_path / "records.csv", index=False)
    read = pd.read_csv(tmp_path / "records.csv")
    pd.testing.assert_series_equal(read.loss, table.loss)
    assert list(read.columns) == list(table.columns)


def test_a_curve_holds_each_step_of_a_finished_run_once(finished):
    table = curves(finished)
    assert set(table.run_id) == {run.run_id for run in finished.runs()}
    for run in finished.runs():
        config, curve = run.planned.config, table[table.run_id == run.run_id]
        assert list(curve.step) == list(range(1, config.steps + 1))
        assert list(curve.tokens) == [step * 256 for step in curve.step]
        assert curve.flops.iloc[-1] == pytest.approx(run.planned.flops)
        assert curve.loss.iloc[-20:].mean() < curve.loss.iloc[:20].mean()


def test_only_finished_runs_of_the_grid_have_curves(tmp_path):
    store = Store.create(tmp_path, small_study())
    grid, diverged, unfinished, later = store.runs()
    shutil.rmtree(later.directory)
    verification = store.add(replace(later.planned, role="verification"))
    for run in (grid, diverged, verification):
        write_fake_result(run, status="diverged" if run is diverged else "finished")
    for run in (grid, diverged, verification, unfinished):
        (run.directory / "metrics.jsonl").write_text('{"step": 1, "tokens": 256, "loss": 5.0}\n')
    assert list(curves(store).run_id) == [grid.run_id]


def test_a_record_leads_to_its_run_source_and_machine(finished):
    table = collect(finished)
    for run, row in zip(finished.runs(), table.itertuples(), strict=True):
        assert row.run_id == run.planned.config.run_id
        assert row.data_fingerprint == run.result.data_fingerprint
        assert (row.device, row.devices) == ("cpu", 1)
        assert row.scaling_jax == run.result.packages["scaling_jax"]
        assert row.jax
        assert row.python.startswith("3.")
        assert row.commit == run.result.code.get("commit")
        assert row.code_changed == run.result.code.get("changed")
        assert set(run.result.code) == set(code_state())
        assert (row.seed, row.corpus) == (0, run.planned.config.data.corpus)
