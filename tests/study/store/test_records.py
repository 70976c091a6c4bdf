"""Records hold one row per run and curves each step once."""

import dataclasses
import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from small_studies import RECIPE, small_study, write_curve, write_fake_result

from scaling_jax import laws
from scaling_jax.accounting import flops
from scaling_jax.config import BatchRamp, Dropout, EvalSet, LogSpaced
from scaling_jax.config.parameterization import Parameterization
from scaling_jax.errors import InputError, LeftOutWarning
from scaling_jax.runs.code import code_state
from scaling_jax.runs.held_out import evaluations_digest
from scaling_jax.shapes import Family
from scaling_jax.study import FixedModels, IsoFlop, Store, Study, Sweep, collect, curves, vary
from scaling_jax.study.store import history
from scaling_jax.study.store.loss_curves import damage_of_curve

NEEDED_BY_FITS = {"params", "tokens", "loss", "flops", "budget"}
LOSSES = ["loss", "loss_stderr", "bits_per_byte", "train_loss"]


def test_one_row_per_run_whatever_its_state(tmp_path):
    store = Store.create(tmp_path, small_study())
    planned, failed, finished, diverged = store.runs()
    history.record(failed.directory, "failed", reason="OSError: disk full")
    write_fake_result(finished)
    write_fake_result(
        diverged,
        status="diverged",
        steps=2,
        tokens=512,
        loss=None,
        loss_stderr=None,
        bits_per_byte=None,
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
    for run in (grid, verification):
        write_fake_result(run)
    write_fake_result(diverged, status="diverged", loss=None)
    write_curve(unfinished, 3, 5.0)
    assert set(curves(store).run_id) == {grid.run_id}
    assert set(curves(store, unfinished=True).run_id) == {grid.run_id, unfinished.run_id}


def fields_of(part, path=""):
    """Path and value of every field of a configuration that is not a dataclass itself."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from fields_of(value, f"{path}{field.name}.")
        else:
            yield path + field.name, value


RENAMED = {
    "optimizer.name": "optimizer",
    "parameterization.rule": "parameterization",
    "data.unique_tokens": "unique_tokens_limit",
    **{f"dropout.{place}": f"dropout_{place}" for place in ("residual", "attention", "embedding")},
    "batch_ramp.factor": "batch_ramp_factor",
    "batch_ramp.until": "batch_ramp_until",
}
# A configuration of another version cannot be read.
CONSTANT = {"version"}


def columns_of_fields(config):
    columns = {
        RENAMED.get(path, path.rpartition(".")[2]): (
            ", ".join(map(str, value)) if isinstance(value, tuple) else value
        )
        for path, value in fields_of(config)
        if path not in CONSTANT
    }
    # No two fields have one column.
    assert len(columns) == len(list(fields_of(config))) - len(CONSTANT)
    return columns


def test_every_field_of_a_configuration_is_a_column(tmp_path):
    knobs = dict(name="muon", schedule="wsd", beta1=0.8, eps=1e-6, clip_norm=0.5)
    store = Store.create(
        tmp_path,
        small_study(
            family=Family(256, 32, activation="swiglu", positions="learned", qk_norm=True),
            optimizer_knobs=knobs,
            parameterization=Parameterization("completep", 16, 8, 2),
            dropout=Dropout(0.1, 0.2, 0.3),
            batch_ramp=BatchRamp(2, 0.25),
        ),
    )
    table = collect(store).set_index("run_id")
    for run in store.runs():
        for name, value in columns_of_fields(run.planned.config).items():
            assert table[name][run.run_id] == value, name


def evaluated_study(**changes):
    every = {"eval_every": LogSpaced(6), "evals": (EvalSet("chain", "synthetic:markov"),)}
    return small_study(**(every | changes))


def evaluate_as(run, loss, **changes):
    """Give `run`, which has ended, a held-out curve that ends at `loss`."""
    config = run.planned.config
    rows = [
        {"step": step, "tokens": step * 256, "loss": loss + i, "loss_stderr": 0.1, "loss_chain": 1}
        for i, step in enumerate(reversed(config.evaluation_steps))
    ][::-1]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run.directory / "evaluations.jsonl").write_text(text)
    held_out = {"loss_least": loss, "loss_least_tokens": 512, "loss_chain": 1.5}
    known = dict(evaluations=evaluations_digest(rows), evaluation_flops=7, held_out=held_out)
    write_fake_result(run, **(known | changes))


def test_held_out_curves_come_before_training_curves(tmp_path):
    store = Store.create(tmp_path, evaluated_study())
    done, under_way, *_ = store.runs()
    evaluate_as(done, 2.0)
    table = curves(store)
    assert set(table.loss_of) == {"held_out"}
    assert list(table.step) == list(done.planned.config.evaluation_steps)
    assert list(table.loss) == [7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    assert set(table.loss_chain) == {1}
    assert table.flops.iloc[-1] == pytest.approx(done.planned.flops)
    write_curve(under_way, 3, 5.0)
    assert set(curves(store, unfinished=True).run_id) == {done.run_id}
    training = curves(store, of="training")
    assert set(training.loss_of) == {"training"}
    assert len(training) == done.planned.config.steps
    record = collect(store).set_index("run_id").loc[done.run_id]
    assert (record.loss_least, record.loss_least_tokens, record.loss_chain) == (2.0, 512, 1.5)
    assert record.evaluation_flops == 7
    assert (record.eval_every, record.evals) == (str(LogSpaced(6)), "chain=synthetic:markov")


def test_curves_of_two_kinds_are_not_mixed(finished, tmp_path):
    assert set(curves(finished).loss_of) == {"training"}
    assert "loss_least" not in collect(finished)
    with pytest.raises(InputError, match="has no held-out curve: train with eval_every"):
        curves(finished, of="held_out")


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-3], lambda text: text.replace("2.0", "1.9")]
)
def test_a_damaged_held_out_curve_is_left_out(tmp_path, damage):
    store = Store.create(tmp_path, evaluated_study())
    one, other, *_ = store.runs()
    evaluate_as(one, 2.0)
    evaluate_as(other, 2.0)
    path = one.directory / "evaluations.jsonl"
    path.write_text(damage(path.read_text()))
    with pytest.warns(LeftOutWarning, match=f"run {one.run_id} is left out: evaluations.jsonl"):
        assert set(curves(store).run_id) == {other.run_id}
    assert "evaluations.jsonl" in damage_of_curve(one)


def test_a_point_in_tokens_must_fit_the_shortest_run():
    with pytest.raises(InputError, match=r"eval_every 1,000,000,000 tokens is more than the run's"):
        evaluated_study(eval_every=10**9).plan()


def test_runs_that_differ_in_one_field_are_told_apart(finished):
    table = collect(finished).iloc[[0, 0]].reset_index(drop=True)
    # Runs of one recipe may differ in their seed and length, and in what is measured besides the
    # loss. A batch ramp has two columns of its own. Whether a short held-out text is measured whole
    # or refused changes no loss that was measured.
    may_differ = {"seed", "steps", "eval_details", "batch_ramp", "eval_at_most"}
    for name in columns_of_fields(finished.runs()[0].planned.config).keys() - may_differ:
        mixed = table.assign(**{name: ["one", "other"]})
        assert name in " ".join(laws.mixed_knobs(mixed)), name


def test_sizes_and_budgets_of_one_recipe_are_not_mixed(tmp_path):
    sizes = (5e3, 1e4, 4e4, 1.6e5, 1e6)
    study = Study("one", RECIPE, IsoFlop((1e12, 4e12), (sizes, sizes)))
    table = collect(Store.create(tmp_path, study)).assign(status="finished", loss=2.0)
    assert table["head_dim"].nunique() > 1
    assert table["d_ff"].nunique() > 1
    assert laws.mixed_knobs(table) == []


def test_records_hold_what_the_design_requested(tmp_path):
    design = Sweep(FixedModels((1e4,), (7.3, 20)), vary("optimizer_knobs.beta1", 0.8, 0.9))
    table = collect(Store.create(tmp_path, Study("sweep", RECIPE, design)))
    assert set(table["variation"]) == {"optimizer_knobs.beta1=0.8", "optimizer_knobs.beta1=0.9"}
    assert set(table["beta1"]) == {0.8, 0.9}
    assert set(table["convention"]) == {"6nd"}
    assert sorted(table["requested_tokens"] / table["params"]) == pytest.approx([7.3, 7.3, 20, 20])
    assert (table["requested_tokens"] != table["tokens"]).any()


def test_a_plan_stored_without_variation_and_requested_tokens_is_read(tmp_path):
    store = Store.create(tmp_path, small_study())
    for run in store.runs():
        plan = json.loads((run.directory / "plan.json").read_text())
        del plan["wanted_tokens"], plan["variation"]
        (run.directory / "plan.json").write_text(json.dumps(plan))
    table = collect(store)
    assert table["variation"].isna().all()
    assert table["requested_tokens"].to_numpy() == pytest.approx(table["tokens"], rel=0.005)


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


def test_a_directory_is_read_as_its_store_is(tmp_path, monkeypatch):
    import scaling_jax as sj

    store = Store.create(tmp_path / "root", small_study())
    monkeypatch.chdir(tmp_path)
    for place in ("root", "root/small", store.directory):
        assert sj.collect(place).equals(sj.collect(store))
        assert sj.curves(place, unfinished=True).equals(sj.curves(store, unfinished=True))
